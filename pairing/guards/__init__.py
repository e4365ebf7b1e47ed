"""What keeps a rollout, a prompt or a pair out, each with a stable reason. docs/pairing.md has the order of the checks.

`Guards` says which of them stand; `checks` makes the list of objects that are asked. A new guard is a small class in
`samples`, `pools` or `pairs`, a field of Guards with a safe default, its place in `checks`, and its reason in
`funnel.REASONS` and the docs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from collector.errors import UsageError
from pairing.guards.base import PairGuard, PoolGuard, SampleGuard
from pairing.guards.pairs import DifferentText, GapKind, MinGap, OnePrompt
from pairing.guards.pools import Members, TwoDiffer
from pairing.guards.samples import FiniteReward, NotEmpty, NotFailed
from pairing.rollouts import Rollout

__all__ = ["Checks", "GapKind", "Guards", "PairGuard", "PoolGuard", "SampleGuard"]


@dataclass(frozen=True, slots=True)
class Checks:
    """The guards that stand, in the order in which they are asked; the first that objects gives the reason."""

    samples: tuple[SampleGuard, ...]
    pools: tuple[PoolGuard, ...]
    pairs: tuple[PairGuard, ...]
    truncated_chosen: bool

    def may_be_chosen(self, rollout: Rollout) -> bool:
        """False for a usable rollout that may stand on the rejected side only."""
        return not (self.truncated_chosen and rollout.truncated)

    def chosen_side(self, usable: Sequence[Rollout]) -> Sequence[Rollout]:
        """Those of the usable rollouts that may be chosen."""
        if not self.truncated_chosen:
            return usable
        return [rollout for rollout in usable if not rollout.truncated]


@dataclass(frozen=True, slots=True)
class Guards:
    """Which guards stand. That a reward is a finite number, that a prompt has two usable rollouts, that their rewards
    differ, and that both sides answer the same prompt, is always asked: without it there is no pair."""

    failed: bool = True
    """Rows marked as failures: their reward, if any, is no verdict."""
    empty_text: bool = True
    """Answers in which the model neither says nor calls anything, on either side."""
    truncated_chosen: bool = True
    """Answers cut at the token limit are never chosen; they may be rejected."""
    identical_text: bool = True
    """Pairs whose sides say the same."""
    require_members: int | None = None
    """Drop prompts with fewer rollouts than this: the number of repeats, to keep whole groups only."""
    min_gap: float | None = None
    """The smallest gap of a pair, measured as `gap_kind` says. A strategy's own `min_gap` is always absolute."""
    gap_kind: GapKind = "absolute"

    def __post_init__(self) -> None:
        if self.require_members is not None and self.require_members < 2:
            raise UsageError(f"--require-complete {self.require_members}: give 2 or more")
        self.checks()  # each guard checks its own numbers

    @classmethod
    def none(cls) -> Guards:
        """The decisions of the reference recipe: rewards and their gap alone."""
        return cls(failed=False, empty_text=False, truncated_chosen=False, identical_text=False)

    def checks(self) -> Checks:
        """The guards as objects, in order."""
        samples: list[SampleGuard] = []
        if self.failed:
            samples.append(NotFailed())
        samples.append(FiniteReward())
        if self.empty_text:
            samples.append(NotEmpty())
        pairs: list[PairGuard] = [OnePrompt()]
        if self.min_gap is not None:
            pairs.append(MinGap(self.min_gap, self.gap_kind))
        if self.identical_text:
            pairs.append(DifferentText())
        pools: tuple[PoolGuard, ...] = (Members(self.require_members or 2), TwoDiffer())
        return Checks(tuple(samples), pools, tuple(pairs), self.truncated_chosen)
