"""Pair guards on the rewards and the prompt of a picked pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from collector.errors import UsageError
from pairing.reading.identity import same_prompt
from pairing.strategies.base import Choice, Pool

__all__ = ["GapKind", "MaxGap", "MinGap", "OnePrompt", "Sound"]

GapKind = Literal["absolute", "zscore", "rank"]


@dataclass(frozen=True, slots=True)
class Sound:
    """The chosen side's reward is the higher one, by a finite gap, and both may stand where they stand. A strategy of
    this project picks nothing else; a user's own may. Reasons `not_better` (ties, and a rollout against itself, too),
    `gap_not_finite`, `wrong_side`."""

    def fault(self, choice: Choice, pool: Pool, kept: Sequence[Choice]) -> str | None:
        gap = choice.gap
        if gap <= 0:
            return "not_better"
        if gap == math.inf:
            return "gap_not_finite"
        return None if choice.chosen in pool.chosen and choice.rejected in pool.rejected else "wrong_side"


@dataclass(frozen=True, slots=True)
class OnePrompt:
    """Both sides answer the same prompt, whatever ids their rows carry. Reason `prompts_differ`."""

    def fault(self, choice: Choice, pool: Pool, kept: Sequence[Choice]) -> str | None:
        return None if same_prompt(choice.chosen.row, choice.rejected.row) else "prompts_differ"


@dataclass(frozen=True, slots=True)
class MinGap:
    """The smallest gap between the sides. Reason `gap_below_min`. How it is measured: `gap_of`."""

    least: float
    kind: GapKind = "absolute"

    def __post_init__(self) -> None:
        _check("--min-gap", self.least)

    def fault(self, choice: Choice, pool: Pool, kept: Sequence[Choice]) -> str | None:
        return "gap_below_min" if gap_of(choice, pool, self.kind) < self.least else None


@dataclass(frozen=True, slots=True)
class MaxGap:
    """The largest gap between the sides. Reason `gap_above_max`."""

    most: float
    kind: GapKind = "absolute"

    def __post_init__(self) -> None:
        _check("--max-gap", self.most)

    def fault(self, choice: Choice, pool: Pool, kept: Sequence[Choice]) -> str | None:
        return "gap_above_max" if gap_of(choice, pool, self.kind) > self.most else None


def gap_of(choice: Choice, pool: Pool, kind: GapKind) -> float:
    """The gap in one of three measures.

    absolute: in rewards. zscore: in standard deviations of the prompt's usable rewards, for rewards whose scale
    differs from prompt to prompt. rank: in ranks, where the best is 0 and equals share one.
    """
    if kind == "zscore":
        return choice.gap / pool.std
    if kind == "rank":
        return pool.rank(choice.rejected) - pool.rank(choice.chosen)
    return choice.gap


def _check(flag: str, value: float) -> None:
    if not math.isfinite(value) or value < 0:
        raise UsageError(f"{flag} {value}: give a number, 0 or more")
