"""What stands against the figures: a client that was the bottleneck, a level that was not held, a top not reached.

A flag is told with the figures, never in their place. Those that are `grave` make the command end with code 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from collector.parallelism.agreement import Agreement
from collector.parallelism.auto import AutoFigures
from collector.parallelism.figures import LevelFigures
from collector.parallelism.records import TrialRecord

__all__ = ["Flag", "auto_flags", "holds", "level_flags", "sweep_flags"]

_HELD = 0.95
_HALF_A_SLOT = 0.5
_BUSY = 0.85
"""Of one core: an event loop has no more than one."""
_LATE, _LATE_SHARE = 0.02, 0.1
_UNSTEADY = 0.1
_SURE = 3.0
"""Standard errors."""
_MANY_RETRIES = 0.01
_DRIFT = 0.05
_CROWDED = 1.5
"""Programs that want to run, for each core."""
_AUTO_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Flag:
    """`level` is None for the whole sweep."""

    name: str
    level: int | None
    text: str
    grave: bool = False


def holds(figures: LevelFigures) -> bool:
    """Whether so many requests were in flight as the level says, on average and at the highest. Half a slot is given:
    between a reply and the next request the client works, and at one in flight that shows."""
    least = figures.level - max((1 - _HELD) * figures.level, _HALF_A_SLOT)
    return figures.in_flight_min >= least and figures.in_flight_max == figures.level


def level_flags(figures: LevelFigures) -> Iterator[Flag]:
    """What is to be said of one level."""
    level = figures.level
    if not holds(figures):
        yield Flag("in_flight", level, _not_held(figures), grave=True)
    if figures.failures:
        yield Flag("failures", level, _failed(figures), grave=True)
    if figures.retries > _MANY_RETRIES * figures.attempts:
        yield Flag("retries", level, f"{figures.retries} of {figures.attempts} attempts failed and were tried again")
    if _is_busy(figures):
        yield Flag("client_bound", level, f"{_busy(figures)}: the server may do more than this shows")
    unsteady = _unsteady(figures)
    if unsteady:
        yield Flag("no_steady_state", level, unsteady)
    if figures.preemptions:
        yield Flag("preempted", level, f"the server preempted {figures.preemptions:.0f} times: its cache is full")


def auto_flags(auto: AutoFigures) -> Iterator[Flag]:
    """What is to be said of the limit that found itself."""
    figures, share = auto.figures, auto.share
    if figures.failures:
        yield Flag("failures", None, f"with auto: {_failed(figures)}", grave=True)
    if figures.preemptions:
        yield Flag("preempted", None, f"with auto: the server preempted {figures.preemptions:.0f} times")
    if figures.running is None:
        yield Flag("auto_blind", None, "the server shows no queue: auto went by latency alone, a weak measure")
    if not (figures.warm and figures.enough):
        yield Flag("auto_unsettled", None, "too few rollouts for auto to find its limit: give more --level-seconds")
    if share is not None and share.value < _AUTO_SHARE:
        sure = (
            "" if share.high < _AUTO_SHARE else f", which may be chance (95% of the resamples: up to {share.high:.0%})"
        )
        yield Flag("auto_below", None, f"auto had {share.value:.0%} of the best fixed level's rollouts/s{sure}")


def _failed(figures: LevelFigures) -> str:
    classes = ", ".join(f"{name} {count}" for name, count in sorted(figures.failures.items()))
    return f"{sum(figures.failures.values())} rollouts failed for good ({classes})"


def sweep_flags(
    levels: Sequence[LevelFigures],
    trials: Sequence[TrialRecord],
    recommended: int | None,
    tests: dict[str, Agreement | None],
) -> Iterator[Flag]:
    """What is to be said of all levels together. `tests`: of `reward` and `length`."""
    if recommended is None:
        yield Flag("no_answer", None, "no level can be recommended: at none were its requests in flight", grave=True)
    elif recommended == max(figures.level for figures in levels):
        text = f"the best level is the highest measured: more may be faster (give --max-level {4 * recommended})"
        yield Flag("not_saturated", None, text)
    for name, test in tests.items():
        if test is not None and test.differs:
            yield Flag(f"{name}_differs", None, _differs(name, test))
    crowd = max(trial.machine_load for trial in trials)
    if crowd > _CROWDED:
        text = f"up to {crowd:.1f} programs for each core of this machine wanted to run: others were at work here too"
        yield Flag("busy_machine", None, text)
    drift = _drift(trials)
    if drift is not None:
        faster = "faster" if drift > 0 else "slower"
        text = (
            f"the last pass was {abs(drift):.0%} {faster} than the first: the server, or the machine, changed meanwhile"
        )
        yield Flag("drift", None, text)


def _not_held(figures: LevelFigures) -> str:
    told = f"{figures.level} asked for, {figures.in_flight:.1f} in flight on average ({figures.in_flight_max} at most)"
    causes = []
    if _is_busy(figures):
        causes.append("the client was busy")
    if figures.retries or figures.failures:
        causes.append("attempts failed and waited for their next try")
    return f"{told}: {' and '.join(causes) or 'the verifier or --parallel-per-endpoint held requests back'}"


def _is_busy(figures: LevelFigures) -> bool:
    late = max(_LATE, _LATE_SHARE * (figures.p50 or 0.0))
    return figures.client_cpu > _BUSY or figures.lag_p99 > late


def _busy(figures: LevelFigures) -> str:
    return (
        f"the client used {figures.client_cpu:.0%} of a core, its event loop was {1000 * figures.lag_p99:.0f} ms late"
    )


def _unsteady(figures: LevelFigures) -> str | None:
    if not figures.warm:
        return (
            "some first request had not ended when the window opened: give more --level-seconds;"
            " or the server leaves early requests waiting while it serves later ones (longest:"
            f" {figures.longest or 0.0:.1f} s)"
        )
    if not figures.enough:
        return f"only {figures.rollouts} rollouts ended in {figures.seconds:.0f} s: give more --level-seconds"
    halves = figures.halves
    if halves is None or abs(halves - 1) <= _UNSTEADY:
        return None
    late = figures.rollouts * halves / (1 + halves)
    sure = abs(2 * late - figures.rollouts) > _SURE * math.sqrt(figures.rollouts)
    return f"the second half of the window had {halves:.2f} times the throughput of the first" if sure else None


def _differs(name: str, test: Agreement) -> str:
    means = ", ".join(f"{mean:.4g} at {level}" for level, mean in zip(test.levels, test.means, strict=True))
    what = "rewards" if name == "reward" else "lengths"
    return f"{what} are not the same at all levels (p = {test.p:.3f}, {test.prompts} prompts): {means}"


def _drift(trials: Sequence[TrialRecord]) -> float | None:
    """By how much the last pass was faster than the first, over all levels; None when that may be chance."""
    parts = sorted({trial.part for trial in trials})
    if len(parts) < 2:
        return None
    rate = {(trial.level, trial.part): trial.rollouts / trial.measured_s for trial in trials}
    first, last = parts[0], parts[-1]
    levels = sorted({trial.level for trial in trials})
    both = [(rate.get((level, first), 0.0), rate.get((level, last), 0.0)) for level in levels]
    logs = [math.log(after / before) for before, after in both if before > 0 and after > 0]
    if len(logs) < 3:
        return None
    mean = sum(logs) / len(logs)
    error = math.sqrt(sum((one - mean) ** 2 for one in logs) / (len(logs) - 1) / len(logs))
    return math.expm1(mean) if abs(mean) > max(_DRIFT, _SURE * error) else None
