"""Pair guards: what refuses a picked pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from collector.errors import UsageError
from pairing.identity import same_prompt
from pairing.messages import same_answer
from pairing.strategies.base import Choice, Pool

__all__ = ["DifferentText", "GapKind", "MinGap", "OnePrompt"]

GapKind = Literal["absolute", "zscore", "rank"]


@dataclass(frozen=True, slots=True)
class OnePrompt:
    """Both sides answer the same prompt, whatever ids their rows carry. Reason `prompts_differ`."""

    def fault(self, choice: Choice, pool: Pool, kept: Sequence[Choice]) -> str | None:
        return None if same_prompt(choice.chosen.row, choice.rejected.row) else "prompts_differ"


@dataclass(frozen=True, slots=True)
class DifferentText:
    """The sides do not say the same. Reason `identical_text`."""

    def fault(self, choice: Choice, pool: Pool, kept: Sequence[Choice]) -> str | None:
        return "identical_text" if same_answer(choice.chosen, choice.rejected) else None


@dataclass(frozen=True, slots=True)
class MinGap:
    """The smallest gap between the sides, in one of three measures. Reason `gap_below_min`.

    absolute: in rewards. zscore: in standard deviations of the prompt's usable rewards, for rewards whose scale
    differs from prompt to prompt. rank: in ranks, where the best is 0 and equals share one.
    """

    least: float
    kind: GapKind = "absolute"

    def __post_init__(self) -> None:
        if not math.isfinite(self.least) or self.least < 0:
            raise UsageError(f"--min-gap {self.least}: give a number, 0 or more")

    def fault(self, choice: Choice, pool: Pool, kept: Sequence[Choice]) -> str | None:
        return "gap_below_min" if self._gap(choice, pool) < self.least else None

    def _gap(self, choice: Choice, pool: Pool) -> float:
        if self.kind == "zscore":
            return choice.gap / pool.std
        if self.kind == "rank":
            return pool.rank(choice.rejected) - pool.rank(choice.chosen)
        return choice.gap
