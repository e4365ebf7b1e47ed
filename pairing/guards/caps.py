"""Pair guards that look at the pairs kept before: caps, and pairs that say what another says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from collector.errors import UsageError
from pairing.messages import same_answer
from pairing.reading.rollouts import Rollout
from pairing.strategies.base import Choice, Pool

__all__ = ["NotRepeated", "PairsPerPrompt", "PairsPerResponse"]


@dataclass(frozen=True, slots=True)
class NotRepeated:
    """A pair whose two sides say what those of a kept pair say. Reason `repeated_pair`."""

    def fault(self, choice: Choice, pool: Pool, kept: Sequence[Choice]) -> str | None:
        for other in kept:
            if _same(choice.chosen, other.chosen) and _same(choice.rejected, other.rejected):
                return "repeated_pair"
        return None


@dataclass(frozen=True, slots=True)
class PairsPerPrompt:
    """At most so many pairs of a prompt, in the strategy's order. Reason `over_prompt_cap`."""

    most: int

    def __post_init__(self) -> None:
        _check("--max-pairs", self.most)

    def fault(self, choice: Choice, pool: Pool, kept: Sequence[Choice]) -> str | None:
        return "over_prompt_cap" if len(kept) >= self.most else None


@dataclass(frozen=True, slots=True)
class PairsPerResponse:
    """At most so many pairs with the same response, on either side. Reason `over_response_cap`."""

    most: int

    def __post_init__(self) -> None:
        _check("--max-pairs-per-response", self.most)

    def fault(self, choice: Choice, pool: Pool, kept: Sequence[Choice]) -> str | None:
        for side in (choice.chosen, choice.rejected):
            if sum(side is other.chosen or side is other.rejected for other in kept) >= self.most:
                return "over_response_cap"
        return None


def _same(one: Rollout, other: Rollout) -> bool:
    return one is other or same_answer(one, other)


def _check(flag: str, value: int) -> None:
    if value < 1:
        raise UsageError(f"{flag} {value}: give 1 or more")
