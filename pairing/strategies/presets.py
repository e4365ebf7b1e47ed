"""Strategies named after papers on which prompts and pairs to keep: `rip` and `air`.

Both papers set their thresholds by looking at the whole data set first. A pair here is decided by its prompt alone, in
one pass, so the thresholds are parameters: `pairmill compare` prints the quartiles to take them from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from collector.errors import UsageError
from pairing.messages import answer_text
from pairing.strategies.base import Choice, Pool, ranked, reward_of
from pairing.strategies.numbers import finite

__all__ = ["Air", "Rip"]


@dataclass(frozen=True, slots=True)
class Rip:
    """The highest reward against the lowest, of those prompts alone whose rejected answer has a high reward, is long,
    and lies close to the chosen one.

    Rejecting Instruction Preferences (arXiv 2501.18578): a bad rejected answer that is short and poor, or far from the
    chosen one, tells of a bad prompt. The paper takes quantiles over all prompts; here each threshold is given as a
    number, and at least one must be: `min_rejected_reward`, `min_rejected_length` (characters), `max_gap`.

    Reasons: `no_better_chosen`; `rejected_below_min`, `rejected_too_short`, `gap_above_max`.
    """

    min_rejected_reward: float | None = None
    min_rejected_length: int | None = None
    max_gap: float | None = None
    name: ClassVar[str] = "rip"

    def __post_init__(self) -> None:
        given = (self.min_rejected_reward, self.min_rejected_length, self.max_gap)
        if all(value is None for value in given):
            raise UsageError(
                "--strategy rip: give min_rejected_reward, min_rejected_length or max_gap, such as"
                " rip:max_gap=0.5,min_rejected_length=200; `pairmill compare` prints the quartiles"
            )
        for name, value in zip(("min_rejected_reward", "min_rejected_length", "max_gap"), given, strict=True):
            if value is not None:
                finite("rip", name, value)

    def pick(self, pool: Pool) -> Sequence[Choice] | str:
        choice = Choice(ranked(pool.chosen)[0], ranked(pool.rejected)[-1])
        if choice.gap <= 0:
            return "no_better_chosen"
        if self.min_rejected_reward is not None and reward_of(choice.rejected) < self.min_rejected_reward:
            return "rejected_below_min"
        if self.max_gap is not None and choice.gap > self.max_gap:
            return "gap_above_max"
        if self.min_rejected_length is not None and len(answer_text(choice.rejected)) < self.min_rejected_length:
            return "rejected_too_short"
        return (choice,)


@dataclass(frozen=True, slots=True)
class Air:
    """The highest reward, when it is at least `min_chosen`, against the answer whose distance from it is nearest to the
    middle of `low` to `high`, and within.

    After AIR (arXiv 2504.03612): pairs with a moderate gap and a high chosen answer train best. The numbers are ours,
    for rewards from 0 to 1; take your own from the quartiles of `pairmill compare`. Of two equally near the lower
    reward is rejected.

    Reasons: `chosen_below_min`; `no_better_chosen`; `gap_below_min` and `gap_above_max` when all lie too close, or none
    close enough.
    """

    low: float = 0.2
    high: float = 0.6
    min_chosen: float = 0.5
    name: ClassVar[str] = "air"

    def __post_init__(self) -> None:
        finite("air", "low", self.low, least=0)
        finite("air", "high", self.high, above=self.low)
        finite("air", "min_chosen", self.min_chosen)

    def pick(self, pool: Pool) -> Sequence[Choice] | str:
        best = ranked(pool.chosen)[0]
        if reward_of(best) < self.min_chosen:
            return "chosen_below_min"
        worst_first = [Choice(best, rollout) for rollout in reversed(ranked(pool.rejected))]
        lower = [choice for choice in worst_first if choice.gap > 0]
        if not lower:
            return "no_better_chosen"
        moderate = [choice for choice in lower if self.low <= choice.gap <= self.high]
        if not moderate:
            return "gap_below_min" if lower[0].gap < self.low else "gap_above_max"
        middle = (self.low + self.high) / 2
        return (min(moderate, key=lambda choice: abs(choice.gap - middle)),)
