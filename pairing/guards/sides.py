"""Side guards: which usable rollouts may stand on one side of a pair only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from collector.errors import UsageError
from pairing.reading.rollouts import Rollout
from pairing.strategies.base import reward_of

__all__ = ["AtLeast", "AtMost", "Truncated", "Whole"]


@dataclass(frozen=True, slots=True)
class Whole:
    """Answers that ended by themselves; those cut at the token limit may not stand here."""

    reason: str

    def allowed(self, rollouts: Sequence[Rollout]) -> Sequence[Rollout]:
        return [rollout for rollout in rollouts if not rollout.truncated]


@dataclass(frozen=True, slots=True)
class Truncated:
    """Answers cut at the token limit alone."""

    reason: str

    def allowed(self, rollouts: Sequence[Rollout]) -> Sequence[Rollout]:
        return [rollout for rollout in rollouts if rollout.truncated]


@dataclass(frozen=True, slots=True)
class AtLeast:
    """Rewards of `least` and more."""

    least: float
    reason: str
    flag: str

    def __post_init__(self) -> None:
        _check(self.flag, self.least)

    def allowed(self, rollouts: Sequence[Rollout]) -> Sequence[Rollout]:
        return [rollout for rollout in rollouts if reward_of(rollout) >= self.least]


@dataclass(frozen=True, slots=True)
class AtMost:
    """Rewards of `most` and less."""

    most: float
    reason: str
    flag: str

    def __post_init__(self) -> None:
        _check(self.flag, self.most)

    def allowed(self, rollouts: Sequence[Rollout]) -> Sequence[Rollout]:
        return [rollout for rollout in rollouts if reward_of(rollout) <= self.most]


def _check(flag: str, value: float) -> None:
    if not math.isfinite(value):
        raise UsageError(f"{flag} {value}: give a number")
