"""What a tune found, and what must be said beside it: edges of the grid, ties, limits that nothing met."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pairing.tuning.grid import Arm, Grid
from pairing.tuning.halving import RungResult
from pairing.tuning.scores import Score, ahead

__all__ = ["Finding", "finding_of"]

_MANY_FAILED = 0.05


@dataclass(frozen=True, slots=True)
class Finding:
    """`best` is None when nothing can be recommended; `why` says so then. `warnings` are true in either case."""

    best: Score | None
    why: str
    warnings: tuple[str, ...]
    ties: tuple[Arm, ...] = ()

    @property
    def flags(self) -> str:
        """The settings to use, as they stand on a command line; empty without a recommendation."""
        if self.best is None:
            return ""
        return f"{self.best.arm.flags} --num-repeats {self.best.repeats[self.best.best]}"


def finding_of(grid: Grid, results: Sequence[RungResult], max_truncated: float) -> Finding:
    """`results` holds a rung or more."""
    last = results[-1]
    warnings = list(_failures(results))
    first = last.arms[0]
    if last.best is None:
        if first.allowed:
            why = (
                f"no usable pair from any of {last.rung.prompts} prompts: look at the rewards (pairmill stats), lower"
                " --min-gap, or try other prompts"
            )
        else:
            why = (
                f"every arm cuts more than {max_truncated:.0%} of its answers at the token limit, the best of them"
                f" {first.score.truncated.value:.1%}: give a higher --max-output-tokens or --max-truncated"
            )
        return Finding(None, why, tuple(warnings))
    best = first.score
    ties = tuple(judged.score.arm for judged in last.arms if judged.tie)
    warnings += [*_edges(grid, best), *_ties(ties), *_pruned(results), *_repeats(best), *_others(best)]
    return Finding(best, "", tuple(warnings), ties)


def _edges(grid: Grid, best: Score) -> Iterator[str]:
    """The best at an end of the grid: better ones may lie beyond. top_p 1 and 2 repeats are ends by nature."""
    values = sorted(grid.temperatures)
    if len(values) > 1 and best.arm.temperature in (values[0], values[-1]):
        side, what = ("lowest", "lower") if best.arm.temperature == values[0] else ("highest", "higher")
        if best.arm.temperature > 0:
            yield f"the best temperature, {best.arm.temperature:g}, is the {side} that was tried: try {what} ones too"
    values = sorted(grid.top_ps)
    if len(values) > 1 and best.arm.top_p in (values[0], values[-1]) and best.arm.top_p < 1:
        side, what = ("lowest", "lower") if best.arm.top_p == values[0] else ("highest", "higher")
        yield f"the best top_p, {best.arm.top_p:g}, is the {side} that was tried: try {what} ones too"
    if len(grid.repeats) > 1 and best.repeats[best.best] == grid.repeats[-1]:
        yield f"the best number of repeats, {grid.repeats[-1]}, is the highest that was tried: try more"


def _ties(ties: Sequence[Arm]) -> Iterator[str]:
    if ties:
        named = ", ".join(arm.flags for arm in ties)
        yield f"intervals overlap: {named} cannot be told from the best; a larger --pilot may"


def _pruned(results: Sequence[RungResult]) -> Iterator[str]:
    """Arms that were left behind though they could not be told from the best of their rung."""
    for number, result in enumerate(results[:-1], 1):
        lost = [each.score.arm for each in result.arms if each.tie and not each.kept]
        if lost:
            named = ", ".join(arm.flags for arm in lost)
            yield f"left behind on rung {number}, which could not tell them from its best: {named}"


def _repeats(best: Score) -> Iterator[str]:
    for at, number in enumerate(best.repeats):
        if at != best.best and not ahead(best, best, best.best, at).low > 0:
            yield f"{number} repeats cannot be told from {best.repeats[best.best]}"


def _others(best: Score) -> Iterator[str]:
    if not best.told:
        yield "no row tells its tokens: figures are for a million rollouts, not tokens"
    share = best.paired[best.best].value
    most = max(range(len(best.repeats)), key=lambda at: best.paired[at].value)
    if best.paired[most].value > share + 0.05:
        yield (
            f"{best.repeats[best.best]} repeats are the cheapest way to a pair, and give one for {share:.0%} of the"
            f" prompts; {best.repeats[most]} for {best.paired[most].value:.0%}: where prompts are few, take those"
        )


def _failures(results: Sequence[RungResult]) -> Iterator[str]:
    for each in results[-1].arms:
        asked = each.score.prompts * each.score.repeats[-1]
        if each.score.failed > _MANY_FAILED * asked:
            yield f"{each.score.arm.flags}: {each.score.failed} of {asked} rollouts failed; see its failures file"
