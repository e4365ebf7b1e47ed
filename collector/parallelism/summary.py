"""What a sweep found, all together: the levels' figures, the knees, the recommendation, the tests, the flags."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from collector.parallelism.agreement import Agreement, agreement
from collector.parallelism.auto import AutoFigures, auto_figures
from collector.parallelism.figures import LevelFigures, level_figures
from collector.parallelism.flags import Flag, auto_flags, holds, level_flags, sweep_flags
from collector.parallelism.knees import (
    Scalability,
    Segments,
    disagreement,
    fit_scalability,
    fit_segments,
    plateau,
)
from collector.parallelism.records import AUTO, RequestRecord, TrialRecord

__all__ = ["Recommendation", "Summary", "summarise"]

_NOT_IN_JSON = ("resamples", "rewards", "lengths")


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The setting to use. `share` of the resamples gave the same; 95% of them gave one from `low` to `high`."""

    level: int
    share: float
    low: int
    high: int

    def to_json(self) -> dict[str, Any]:
        return {
            "num_samples_in_parallel": self.level,
            "share_of_resamples": self.share,
            "low": self.low,
            "high": self.high,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One sweep. `facts` names what was measured: the model, the prompts, the way with caches."""

    facts: Mapping[str, Any]
    levels: tuple[LevelFigures, ...]
    recommendation: Recommendation | None
    segments: Segments | None
    law: Scalability | None
    knees_differ: str | None
    reward: Agreement | None
    length: Agreement | None
    flags: tuple[Flag, ...]
    passes: int
    seconds: float
    """From the begin of the first trial to the end of the last, trials alone."""
    auto: AutoFigures | None = None

    @property
    def grave(self) -> tuple[Flag, ...]:
        return tuple(flag for flag in self.flags if flag.grave)

    def to_json(self) -> dict[str, Any]:
        """For summary.json: numbers of six digits."""
        found = {
            "recommendation": self.recommendation.to_json() if self.recommendation else None,
            "knees": {
                "plateau": self.recommendation.level if self.recommendation else None,
                "segments": asdict(self.segments) if self.segments else None,
                "scalability": asdict(self.law) if self.law else None,
                "differ": self.knees_differ,
            },
            "agreement": {
                name: {**asdict(test), "differs": test.differs} if test else None
                for name, test in (("reward", self.reward), ("length", self.length))
            },
            "flags": [asdict(flag) for flag in self.flags],
            "passes": self.passes,
            "seconds": self.seconds,
            "levels": [_level_json(figures) for figures in self.levels],
        }
        if self.auto is not None:
            found["auto"] = {**self.auto.to_json(), "figures": _level_json(self.auto.figures)}
        rounded: dict[str, Any] = _rounded({**self.facts, **found})
        return rounded


def summarise(
    facts: Mapping[str, Any],
    trials: Sequence[TrialRecord],
    requests: Callable[[int], Iterable[RequestRecord]],
    whole: Callable[[int], int],
    *,
    seed: int,
    paired: bool,
) -> Summary:
    """The summary of the trials, of which at least one has a fixed level.

    `requests` gives a level's, `whole` how many rollouts a task has; `paired`: every
    level had the same prompts and seeds."""
    fixed = [trial for trial in trials if trial.level != AUTO]
    levels = _levels(fixed, requests, whole, seed)
    good = [figures for figures in levels if holds(figures) and figures.rollouts]
    numbers, rates = [figures.level for figures in good], [figures.rollouts_per_s.value for figures in good]
    recommendation = _recommend(good)
    recommended = recommendation.level if recommendation else None
    segments, law = (fit_segments(numbers, rates), fit_scalability(numbers, rates)) if good else (None, None)
    tests = {
        "reward": agreement({figures.level: figures.rewards for figures in levels}, paired=paired, seed=seed),
        "length": agreement({figures.level: figures.lengths for figures in levels}, paired=paired, seed=seed),
    }
    auto = auto_figures(trials, requests, good, whole=whole, seed=seed)
    flags = [flag for figures in levels for flag in level_flags(figures)]
    return Summary(
        facts=facts,
        levels=levels,
        recommendation=recommendation,
        segments=segments,
        law=law,
        knees_differ=disagreement(recommended, segments, law),
        **tests,
        flags=(*sweep_flags(levels, fixed, recommended, tests), *flags, *(auto_flags(auto) if auto else ())),
        passes=max((trial.part for trial in trials), default=0),
        seconds=sum(trial.warmup_s + trial.measured_s + trial.tail_s for trial in trials),
        auto=auto,
    )


def _levels(
    trials: Sequence[TrialRecord],
    requests: Callable[[int], Iterable[RequestRecord]],
    whole: Callable[[int], int],
    seed: int,
) -> tuple[LevelFigures, ...]:
    by_level: dict[int, list[TrialRecord]] = {}
    for trial in trials:
        by_level.setdefault(trial.level, []).append(trial)
    return tuple(
        level_figures(level, some, requests(level), whole=whole, seed=seed) for level, some in sorted(by_level.items())
    )


def _recommend(good: Sequence[LevelFigures]) -> Recommendation | None:
    levels = [figures.level for figures in good]
    chosen = plateau(levels, [figures.rollouts_per_s.value for figures in good])
    if chosen is None:
        return None
    columns = np.stack([figures.resamples for figures in good], axis=1)
    drawn = np.array([plateau(levels, list(map(float, row))) or chosen for row in columns])
    low, high = np.quantile(drawn, (0.025, 0.975), method="inverted_cdf")
    return Recommendation(chosen, float((drawn == chosen).mean()), int(low), int(high))


def _level_json(figures: LevelFigures) -> dict[str, Any]:
    return {name: value for name, value in asdict(figures).items() if name not in _NOT_IN_JSON}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {name: _rounded(part) for name, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list | tuple) else value
