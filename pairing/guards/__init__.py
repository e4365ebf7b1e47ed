"""What keeps a rollout, a prompt or a pair out, each with a stable reason. docs/pairing.md has the order of the checks.

`Guards` says which of them stand; `checks` makes the list of objects that are asked. A new guard is a small class in
`samples`, `pools`, `sides`, `pairs`, `texts` or `caps`, a field of Guards with a safe default, its place in `checks`,
its flag in `options.pairing_flags`, and its reason in `funnel.REASONS` and the docs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from collector.errors import UsageError
from pairing.guards.base import PairGuard, PoolGuard, SampleGuard, SideGuard
from pairing.guards.caps import NotRepeated, PairsPerPrompt, PairsPerResponse
from pairing.guards.checks import Checks
from pairing.guards.pairs import GapKind, MaxGap, MinGap, OnePrompt, Sound
from pairing.guards.pools import Members, TwoDiffer
from pairing.guards.samples import FiniteReward, NotEmpty, NotFailed, NotTruncated
from pairing.guards.sides import AtLeast, AtMost, Truncated, Whole
from pairing.guards.texts import DifferentText, LengthRatio, NotSimilar, TokenBudget

__all__ = [
    "Checks",
    "GapKind",
    "Guards",
    "PairGuard",
    "PoolGuard",
    "SampleGuard",
    "SideGuard",
    "TruncatedRejected",
]

TruncatedRejected = Literal["allow", "drop", "only"]


@dataclass(frozen=True, slots=True)
class Guards:
    """Which guards stand. That a reward is a finite number, that a prompt has two usable rollouts, that their rewards
    differ, that the chosen one's is higher, and that both sides answer the same prompt, is always asked: without it
    there is no pair. What is off by default would drop good pairs of some data, or must read texts to know."""

    where: str | None = None
    """Only rollouts whose row this expression holds for: see `filters`."""
    failed: bool = True
    """Rows marked as failures: their reward, if any, is no verdict."""
    empty_text: bool = True
    """Answers in which the model neither says nor calls anything, on either side."""
    truncated_chosen: bool = True
    """Answers cut at the token limit are never chosen."""
    truncated_rejected: TruncatedRejected = "allow"
    """Whether they may be rejected, or nothing else may."""
    min_chosen_reward: float | None = None
    """The lowest reward that may be chosen."""
    max_rejected_reward: float | None = None
    """The highest reward that may be rejected."""
    require_members: int | None = None
    """Drop prompts with fewer rollouts than this: the number of repeats, to keep whole groups only."""
    min_gap: float | None = None
    """The smallest gap of a pair, measured as `gap_kind` says. A strategy's own `min_gap` is always absolute."""
    max_gap: float | None = None
    """The largest gap, measured likewise."""
    gap_kind: GapKind = "absolute"
    identical_text: bool = True
    """Pairs whose sides say the same."""
    repeated_pair: bool = True
    """Pairs that say on both sides what another pair of the prompt says."""
    min_length_ratio: float | None = None
    """The lowest ratio of chosen to rejected length."""
    max_length_ratio: float | None = None
    """The highest one."""
    max_similarity: float | None = None
    """The highest similarity of the sides, from 0 to 1. Off: it costs as much as all else together."""
    token_budget: int | None = None
    """Sides must differ within so many tokens of prompt and answer: the length that the trainer cuts at."""
    tokenizer: Path | None = None
    """A tokenizer.json that counts them; without it, one token for 4 bytes."""
    max_pairs: int | None = None
    """The most pairs of a prompt."""
    max_pairs_per_response: int | None = None
    """The most pairs with the same response."""

    def __post_init__(self) -> None:
        if self.require_members is not None and self.require_members < 2:
            raise UsageError(f"--require-complete {self.require_members}: give 2 or more")
        if self.tokenizer is not None and self.token_budget is None:
            raise UsageError(f"--tokenizer {self.tokenizer}: give --token-budget too")
        self.checks()  # each guard checks its own numbers

    @classmethod
    def none(cls) -> Guards:
        """The decisions of the reference recipe: rewards and their gap alone."""
        return cls(failed=False, empty_text=False, truncated_chosen=False, identical_text=False, repeated_pair=False)

    def checks(self) -> Checks:
        """The guards as objects, in order."""
        pools: tuple[PoolGuard, ...] = (Members(self.require_members or 2), TwoDiffer())
        return Checks(self._samples(), pools, self._chosen(), self._rejected(), self._pairs())

    def _samples(self) -> tuple[SampleGuard, ...]:
        found: list[SampleGuard] = []
        if self.where is not None:
            from pairing.filters import Where  # with what an expression needs

            found.append(Where(self.where))
        if self.failed:
            found.append(NotFailed())
        found.append(FiniteReward())
        if self.truncated_chosen and self.truncated_rejected == "drop":  # neither side
            found.append(NotTruncated())
        if self.empty_text:
            found.append(NotEmpty())
        return tuple(found)

    def _chosen(self) -> tuple[SideGuard, ...]:
        found: list[SideGuard] = []
        if self.min_chosen_reward is not None:
            found.append(AtLeast(self.min_chosen_reward, "chosen_below_min", "--min-chosen-reward"))
        if self.truncated_chosen and self.truncated_rejected != "drop":
            found.append(Whole("no_chosen"))
        return tuple(found)

    def _rejected(self) -> tuple[SideGuard, ...]:
        found: list[SideGuard] = []
        if self.max_rejected_reward is not None:
            found.append(AtMost(self.max_rejected_reward, "rejected_above_max", "--max-rejected-reward"))
        if self.truncated_rejected == "only":
            found.append(Truncated("no_rejected"))
        elif self.truncated_rejected == "drop" and not self.truncated_chosen:
            found.append(Whole("no_rejected"))
        return tuple(found)

    def _pairs(self) -> tuple[PairGuard, ...]:
        """Those that look at rewards before those that read texts; caps last, so that they count what is kept."""
        found: list[PairGuard] = [Sound(), OnePrompt()]
        if self.min_gap is not None:
            found.append(MinGap(self.min_gap, self.gap_kind))
        if self.max_gap is not None:
            found.append(MaxGap(self.max_gap, self.gap_kind))
        if self.identical_text:
            found.append(DifferentText())
        return (*found, *self._by_text(), *self._caps())

    def _by_text(self) -> list[PairGuard]:
        found: list[PairGuard] = []
        if self.min_length_ratio is not None or self.max_length_ratio is not None:
            found.append(LengthRatio(self.min_length_ratio, self.max_length_ratio))
        if self.max_similarity is not None:
            found.append(NotSimilar(self.max_similarity))
        if self.token_budget is not None:
            found.append(TokenBudget(self.token_budget, self.tokenizer))
        if self.repeated_pair:
            found.append(NotRepeated())
        return found

    def _caps(self) -> list[PairGuard]:
        found: list[PairGuard] = []
        if self.max_pairs_per_response is not None:
            found.append(PairsPerResponse(self.max_pairs_per_response))
        if self.max_pairs is not None:
            found.append(PairsPerPrompt(self.max_pairs))
        return found
