"""Successive halving: rungs of ever fewer arms on ever more prompts. No I/O: a sampler brings the rollouts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pairing.planning.chances import Rule
from pairing.planning.figures import Between
from pairing.tuning.grid import Arm, Grid, Rung
from pairing.tuning.scores import ArmData, Score, ahead, score_of

__all__ = ["Judged", "RungResult", "Sampler", "halve"]


class Sampler(Protocol):
    """Brings rollouts of an arm."""

    async def sample(self, arm: Arm, prompts: int) -> ArmData:
        """The most repeats of the first `prompts` prompts of the pilot; what an earlier call brought is not asked for
        again."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A score among the others of its rung. `allowed`: under the truncation limit. `behind` says by what share the
    rung's best is better; a tie cannot be told from it. `kept`: goes on to the next rung."""

    score: Score
    allowed: bool
    behind: Between
    tie: bool
    kept: bool


@dataclass(frozen=True, slots=True)
class RungResult:
    """A rung that is done; best first."""

    rung: Rung
    arms: tuple[Judged, ...]

    @property
    def best(self) -> Judged | None:
        """None when no arm is allowed, or none gives a pair."""
        first = self.arms[0]
        return first if first.allowed and first.score.figure.value > 0 else None


async def halve(
    grid: Grid,
    rungs: Sequence[Rung],
    sampler: Sampler,
    rule: Rule | None,
    *,
    max_truncated: float,
    seed: int = 0,
    told: Callable[[int, RungResult], None] = lambda _number, _result: None,
) -> tuple[RungResult, ...]:
    """Runs the rungs, arms in the order of the grid. Ends early when no arm is worth going on with. `told` is called
    after each rung."""
    arms: Sequence[Arm] = grid.arms
    results: list[RungResult] = []
    for number, rung in enumerate(rungs):
        scores = []
        for arm in arms:
            data = await sampler.sample(arm, rung.prompts)
            scores.append(score_of(arm, data, rung.prompts, grid.repeats, rule, seed))
        following = rungs[number + 1].arms if number + 1 < len(rungs) else 0
        results.append(RungResult(rung, judged(scores, max_truncated, following)))
        told(number, results[-1])
        if results[-1].best is None:
            break
        kept = {each.score.arm for each in results[-1].arms if each.kept}
        arms = [arm for arm in arms if arm in kept]
    return tuple(results)


def judged(scores: Sequence[Score], max_truncated: float, following: int) -> tuple[Judged, ...]:
    """Best first: those under the truncation limit by their figure, then the others by how much is truncated; equals in
    the order given. The first `following` go on, save that one over the limit never does beside one under it."""

    def rank(score: Score) -> tuple[bool, float]:
        allowed, figure = _allowed(score, max_truncated), score.figure.value
        return (not allowed, -(figure if math.isfinite(figure) else -1.0) if allowed else score.truncated.value)

    ranked = sorted(scores, key=rank)
    any_allowed = _allowed(ranked[0], max_truncated)
    found = []
    for place, score in enumerate(ranked):
        allowed = _allowed(score, max_truncated)
        behind = ahead(ranked[0], score)
        tie = place > 0 and allowed and score.figure.value > 0 and not behind.low > 0
        found.append(Judged(score, allowed, behind, tie, kept=place < following and (allowed or not any_allowed)))
    return tuple(found)


def _allowed(score: Score, max_truncated: float) -> bool:
    """Without any rollout there is nothing to be truncated, and no pair either."""
    return not score.truncated.value > max_truncated
