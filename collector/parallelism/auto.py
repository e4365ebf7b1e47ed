"""The limit that found itself, beside the fixed levels: its figures, and its share of the best of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from collector.parallelism.figures import LevelFigures, level_figures
from collector.parallelism.intervals import RESAMPLES, Floats, Interval, spread_of
from collector.parallelism.records import AUTO, LimitPath, RequestRecord, TrialRecord

__all__ = ["AutoFigures", "AutoTrial", "auto_figures"]


_LEAST_PASSES = 3


@dataclass(frozen=True, slots=True)
class AutoTrial:
    """One trial's limit over time. `opened` and `closed`: its window, in seconds from its begin."""

    part: int
    opened: float
    closed: float
    path: LimitPath

    @property
    def settled(self) -> float:
        """The mean limit over the window, by time."""
        inside = [(max(at, self.opened), limit) for at, limit, _ in self.path.steps if at < self.closed]
        ends = [*(at for at, _ in inside[1:]), self.closed]
        lengths = [end - at for (at, _), end in zip(inside, ends, strict=True)]
        return sum(limit * length for (_, limit), length in zip(inside, lengths, strict=True)) / sum(lengths)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoFigures:
    """`figures` are as a level's, with its mean in flight as their level. `best` is the fixed level with the most
    rollouts a second, `share` what auto has of them; None where no level counts. Start-up is in neither window:
    `start_share` counts auto's whole trials up to the windows' ends, from 32 in flight on."""

    figures: LevelFigures
    trials: tuple[AutoTrial, ...]
    best: int | None
    best_per_s: float | None
    share: Interval | None
    start_per_s: float
    start_share: float | None

    @property
    def lowest(self) -> int:
        return min(limit for trial in self.trials for _, limit, _ in trial.path.steps)

    @property
    def highest(self) -> int:
        return max(limit for trial in self.trials for _, limit, _ in trial.path.steps)

    @property
    def settled(self) -> float:
        """The mean of the trials' limits in their windows."""
        return sum(trial.settled for trial in self.trials) / len(self.trials)

    @property
    def changes(self) -> dict[str, int]:
        """Reason, in a word -> how many changes had it, over all trials."""
        counts: dict[str, int] = {}
        for trial in self.trials:
            for (_, before, _), (_, after, reason) in pairwise(trial.path.steps):
                kind = kind_of(reason) if after < before or reason in _GROWTH else "growth"
                counts[kind] = counts.get(kind, 0) + 1
        return counts

    def to_json(self) -> dict[str, Any]:
        """Beside the figures; the limits over time stand with the trials."""
        share = self.share
        return {
            "best_level": self.best,
            "share_of_best": [share.value, share.low, share.high] if share else None,
            "with_start_up_per_s": self.start_per_s,
            "with_start_up_share": self.start_share,
            "limit": {"lowest": self.lowest, "highest": self.highest, "in_windows": self.settled},
            "changes": self.changes,
        }


_GROWTH = {"slow start": "slow start", "room": "growth"}
_KINDS = {"waiting": "queue", "preempted": "preemption", "cache": "cache", "refused": "refusal", "token": "latency"}


def kind_of(reason: str) -> str:
    """A change's reason in a word."""
    if reason in _GROWTH:
        return _GROWTH[reason]
    return next((kind for word, kind in _KINDS.items() if word in reason), reason)


def auto_figures(
    trials: Sequence[TrialRecord],
    requests: Callable[[int], Iterable[RequestRecord]],
    good: Sequence[LevelFigures],
    *,
    whole: Callable[[int], int],
    seed: int,
) -> AutoFigures | None:
    """Of those `trials` whose limit found itself; None when there is none. `good` are the fixed levels that count."""
    mine = [trial for trial in trials if trial.auto is not None and trial.auto.steps]
    if not mine:
        return None
    numbers = {trial.trial for trial in mine}
    made = [one for one in requests(AUTO) if one.trial in numbers]
    level = max(1, round(sum(trial.in_flight for trial in mine) / len(mine)))
    # Blocks of time are as long as a level's requests take: that of the trials is how many really were in flight.
    levelled = [msgspec.structs.replace(trial, level=max(1, round(trial.in_flight))) for trial in mine]
    figures = level_figures(level, levelled, made, whole=whole, seed=seed)
    best = max(good, key=lambda one: one.rollouts_per_s.value, default=None)
    seconds = sum(trial.warmup_s + trial.measured_s for trial in mine)
    with_start = sum(one.failure is None and one.phase != "tail" for one in made) / seconds
    return AutoFigures(
        figures=figures,
        trials=tuple(_trial(trial, trial.auto) for trial in mine if trial.auto is not None),
        best=best.level if best else None,
        best_per_s=best.rollouts_per_s.value if best else None,
        share=_share(figures, best, _passes(mine), _passes(trials, best.level), seed) if best else None,
        start_per_s=with_start,
        start_share=with_start / best.rollouts_per_s.value if best else None,
    )


def _trial(trial: TrialRecord, path: LimitPath) -> AutoTrial:
    return AutoTrial(trial.part, trial.warmup_s, trial.warmup_s + trial.measured_s, path)


def _passes(trials: Sequence[TrialRecord], level: int = AUTO) -> dict[int, TrialRecord]:
    return {trial.part: trial for trial in trials if trial.level == level}


def _share(
    figures: LevelFigures,
    best: LevelFigures,
    autos: Mapping[int, TrialRecord],
    bests: Mapping[int, TrialRecord],
    seed: int,
) -> Interval:
    """Whole passes are drawn anew, auto and the level of each together: a machine that changes from pass to pass
    changes both. With few passes each is drawn for itself. The best of several levels is one that was lucky as well:
    the share is rather too low."""
    parts = sorted(autos.keys() & bests.keys())
    if len(parts) < _LEAST_PASSES:
        resamples = figures.resamples / np.maximum(best.resamples, 1e-9)
    else:
        drawn = np.random.default_rng((seed, len(parts))).integers(len(parts), size=(RESAMPLES, len(parts)))
        of_auto, of_best = (_rates([trials[part] for part in parts], drawn) for trials in (autos, bests))
        resamples = of_auto / np.maximum(of_best, 1e-9)
    return spread_of(figures.rollouts_per_s.value / best.rollouts_per_s.value, resamples)


def _rates(trials: Sequence[TrialRecord], drawn: npt.NDArray[np.int64]) -> Floats:
    """Of each row of places in `trials`: all rollouts over all seconds."""
    rollouts = np.array([trial.rollouts for trial in trials], float)
    seconds = np.array([trial.measured_s for trial in trials])
    rates: Floats = rollouts[drawn].sum(axis=1) / seconds[drawn].sum(axis=1)
    return rates
