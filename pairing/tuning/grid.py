"""The arms of a tune, and what it may spend: which are compared on how many prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from collector.errors import UsageError

__all__ = ["Arm", "Grid", "Rung", "fitted", "requests_of", "rungs_of"]

_FEWEST_PROMPTS = 8


@dataclass(frozen=True, slots=True, order=True)
class Arm:
    """One way to sample."""

    temperature: float
    top_p: float

    @property
    def name(self) -> str:
        """Fit for a folder."""
        return f"temperature-{self.temperature:g}_top-p-{self.top_p:g}"

    @property
    def flags(self) -> str:
        return f"--temperature {self.temperature:g} --top-p {self.top_p:g}"


@dataclass(frozen=True, slots=True)
class Grid:
    """Every temperature with every top_p; `repeats` ascending. Each arm is sampled with the most of them, and the
    others are told from subsets of the same rollouts: they cost no request."""

    temperatures: tuple[float, ...]
    top_ps: tuple[float, ...]
    repeats: tuple[int, ...]

    @property
    def arms(self) -> tuple[Arm, ...]:
        return tuple(Arm(temperature, top_p) for temperature in self.temperatures for top_p in self.top_ps)


@dataclass(frozen=True, slots=True)
class Rung:
    """`arms` arms, each with the first `prompts` prompts of the pilot, those of the rungs before among them."""

    arms: int
    prompts: int


def rungs_of(arms: int, pilot: int, eta: int, rows: int) -> tuple[Rung, ...]:
    """Successive halving (arXiv 1502.07943): each rung keeps one arm in `eta` and has `eta` times the prompts, so that
    every rung costs about the same. The last compares two, or has all `rows` of the input: no more can be learnt."""
    rungs = [Rung(arms, min(pilot, rows))]
    while rungs[-1].arms > 2 and rungs[-1].prompts < rows:
        rungs.append(Rung(max(2, math.ceil(rungs[-1].arms / eta)), min(rungs[-1].prompts * eta, rows)))
    return tuple(rungs)


def requests_of(rungs: Sequence[Rung], repeats: int) -> int:
    """Rollouts in all: an arm that goes on is asked for its new prompts alone."""
    before = 0
    total = 0
    for rung in rungs:
        total += rung.arms * (rung.prompts - before) * repeats
        before = rung.prompts
    return total


def fitted(arms: int, pilot: int, eta: int, rows: int, repeats: int, most: int | None) -> tuple[Rung, ...]:
    """The rungs, with a smaller pilot where `most` requests would not do. Raises UsageError when none will."""
    rungs = rungs_of(arms, pilot, eta, rows)
    while most is not None and requests_of(rungs, repeats) > most:
        pilot = min(pilot, rows) - 1
        if pilot < _FEWEST_PROMPTS:
            least = requests_of(rungs_of(arms, _FEWEST_PROMPTS, eta, rows), repeats)
            raise UsageError(
                f"--max-requests {most}: {arms} arms of {repeats} repeats take {least} with a pilot of"
                f" {_FEWEST_PROMPTS} prompts: give more, or fewer temperatures, top_ps or repeats"
            )
        rungs = rungs_of(arms, pilot, eta, rows)
    return rungs
