"""The strategy `best_worst`: the reference recipe's, and West-of-N's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from collector.errors import UsageError
from pairing.strategies.base import REWARD, Choice, Pool

__all__ = ["BestWorst"]


@dataclass(frozen=True, slots=True)
class BestWorst:
    """The highest reward against the lowest, kept when they lie at least `min_gap` apart.

    This is the reference recipe (it skips gap < 0.15), and West-of-N (arXiv 2401.12086); with many repeats the very
    worst sample teaches less (arXiv 2502.16825). Among equals the lowest rollout index is chosen and the highest is
    rejected: first and last of the recipe's stable sort. The gap is compared in plain floats, without a tolerance, as
    the recipe does: 0.35 - 0.2 is a little less than 0.15, and is dropped by both.

    Reasons: `no_better_chosen` when nothing that may be chosen beats the worst; `gap_below_min`; `gap_not_finite`
    when the rewards are so far apart that a float cannot say how far.
    """

    min_gap: float = 0.15
    name: ClassVar[str] = "best_worst"

    def __post_init__(self) -> None:
        if not math.isfinite(self.min_gap) or self.min_gap < 0:
            raise UsageError(f"--min-gap {self.min_gap}: give a number, 0 or more")

    def pick(self, pool: Pool) -> Sequence[Choice] | str:
        best = max(pool.chosen, key=REWARD)  # max keeps the first of equals
        worst = min(pool.rejected[::-1], key=REWARD)
        gap = REWARD(best) - REWARD(worst)  # the same rollout on both sides has none
        if gap <= 0:
            return "no_better_chosen"
        if gap < self.min_gap:
            return "gap_below_min"
        if not math.isfinite(gap):
            return "gap_not_finite"
        return (Choice(best, worst),)
