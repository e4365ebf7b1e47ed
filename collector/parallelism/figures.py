"""Each level's figures, from the records of its trials: throughput, latency, load, pairs, quality.

A rate counts what ended inside the measured windows. What a prompt gave (rewards, lengths, pairs) counts every prompt
whose rollouts were all made, whenever they ended: to take those alone that ended in the window would favour short ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from collector.parallelism.intervals import Interval, Ratio, percentile, ratio, resampled_rates, spread_of
from collector.parallelism.records import RequestRecord, TrialRecord

__all__ = ["LevelFigures", "level_figures"]

_BLOCKS = 10
_LEAST_BLOCKS = 3
_MILLION = 1e6

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelFigures:
    """One level. None is "not measured". Times in seconds, rates a second. `resamples` are those of `rollouts_per_s`;
    `rewards` and `lengths` the means of each prompt, by its place in the sweep's order."""

    level: int
    trials: int
    seconds: float
    rollouts: int
    rollouts_per_s: Interval
    resamples: Floats = field(repr=False)
    halves: float | None
    """Throughput of the windows' second halves over that of the first."""
    tokens_per_s: Interval | None
    tokens_per_rollout: float | None
    p50: float | None
    p90: float | None
    p99: float | None
    longest: float | None
    """The longest latency of the whole trials, with their tails: a request that was left waiting shows here alone."""
    in_flight: float
    in_flight_min: float
    """The lowest of the trials' means."""
    in_flight_max: int
    client_cpu: float
    lag_p99: float
    attempts: int
    retries: int
    failures: Mapping[str, int]
    """Rollouts that failed for good, by class; of the whole trials, like `retries` and `attempts`."""
    running: float | None
    waiting: float | None
    waiting_max: float | None
    kv_max: float | None
    preemptions: float | None
    first_token: float | None
    prompts: int
    """Whole prompts: those whose rollouts were all made."""
    pairs: int | None
    pairs_per_s: Interval | None
    pairs_per_million_tokens: Interval | None
    reward: Interval | None
    reward_std: float | None
    truncated: float | None
    warmup_s: float
    tail_s: float
    tail_rollouts: int
    warm: bool
    enough: bool
    rewards: Mapping[int, float] = field(repr=False)
    lengths: Mapping[int, float] = field(repr=False)


def level_figures(
    level: int,
    trials: Sequence[TrialRecord],
    requests: Iterable[RequestRecord],
    *,
    whole: Callable[[int], int],
    seed: int,
) -> LevelFigures:
    """The figures of `level` over its `trials`, of which there is at least one. `requests` are those of these trials.
    `whole` tells of a task how many rollouts it has when none is missing."""
    mine = list(requests)
    made = [one for one in mine if one.failure is None]
    speed = _speed(trials, [one for one in made if one.phase == "measured"], np.random.default_rng((seed, level)))
    return LevelFigures(
        level=level,
        trials=len(trials),
        **speed,
        **_client(trials),
        **_server(trials),
        **_quality(made, _Groups(made, whole), speed["rollouts_per_s"]),
        attempts=len(mine),
        retries=sum(not one.final for one in mine),
        failures=dict(Counter(one.failure for one in mine if one.failure is not None and one.final)),
        tail_rollouts=sum(one.phase == "tail" for one in made),
    )


def _speed(
    trials: Sequence[TrialRecord], measured: Sequence[RequestRecord], rng: np.random.Generator
) -> dict[str, Any]:
    """What the windows say."""
    seconds = sum(trial.measured_s for trial in trials)
    rates = _resampled(trials, measured, None, rng)
    latencies = [one.latency for one in measured]
    return {
        "seconds": seconds,
        "rollouts": len(measured),
        "rollouts_per_s": spread_of(len(measured) / seconds, rates),
        "resamples": rates,
        "halves": _halves(trials, measured),
        "tokens_per_s": _tokens_per_s(trials, measured, seconds, rng),
        "p50": percentile(latencies, 0.5),
        "p90": percentile(latencies, 0.9),
        "p99": percentile(latencies, 0.99),
    }


def _client(trials: Sequence[TrialRecord]) -> dict[str, Any]:
    """What the client says of itself and of the trials."""
    return {
        "in_flight": _weighted([(trial.in_flight, trial.measured_s) for trial in trials]),
        "in_flight_min": min(trial.in_flight for trial in trials),
        "in_flight_max": max(trial.in_flight_max for trial in trials),
        "client_cpu": _weighted([(trial.client_cpu, trial.measured_s) for trial in trials]),
        "lag_p99": max(trial.lag_p99 for trial in trials),
        "warmup_s": sum(trial.warmup_s for trial in trials),
        "tail_s": sum(trial.tail_s for trial in trials),
        "warm": all(trial.warm for trial in trials),
        "enough": all(trial.enough for trial in trials),
    }


def _server(trials: Sequence[TrialRecord]) -> dict[str, Any]:
    """What the server says of itself; None for what it does not say."""
    loads = [(trial.load, trial.measured_s) for trial in trials if trial.load is not None]
    preemptions = [load.preemptions for load, _ in loads if load.preemptions is not None]
    kvs = [load.kv_max for load, _ in loads if load.kv_max is not None]
    return {
        "running": _weighted([(load.running, length) for load, length in loads]) if loads else None,
        "waiting": _weighted([(load.waiting, length) for load, length in loads]) if loads else None,
        "waiting_max": max((load.waiting_max for load, _ in loads), default=None),
        "kv_max": max(kvs, default=None),
        "preemptions": sum(preemptions) if preemptions else None,
        "first_token": _mean([load.first_token for load, _ in loads if load.first_token is not None]),
    }


def _quality(made: Sequence[RequestRecord], groups: _Groups, rate: Interval) -> dict[str, Any]:
    """What the rollouts are worth, of the whole trials."""
    return {
        "prompts": groups.number,
        "pairs": groups.pairs,
        "pairs_per_s": _product(groups.pairs_per_rollout, rate),
        "pairs_per_million_tokens": _scaled(groups.pairs_per_token, _MILLION),
        "reward": groups.reward.interval if groups.reward else None,
        "reward_std": _std([one.reward for one in made if one.reward is not None]),
        "truncated": _mean([float(one.truncated) for one in made]),
        "tokens_per_rollout": _mean([one.output_tokens for one in made if one.output_tokens is not None]),
        "longest": max((one.latency for one in made), default=None),
        "rewards": groups.rewards,
        "lengths": groups.lengths,
    }


class _Groups:
    """The prompts of a level whose rollouts were all made; a prompt that several trials asked counts once, with all
    that they gave, for it is one observation."""

    def __init__(self, made: Sequence[RequestRecord], whole: Callable[[int], int]) -> None:
        by_trial: dict[tuple[int, int], list[RequestRecord]] = {}
        for one in made:
            by_trial.setdefault((one.task, one.trial), []).append(one)
        by_task: dict[int, list[RequestRecord]] = {}
        self.number = 0
        for (task, _), some in by_trial.items():
            if len(some) == whole(task):
                self.number += 1
                by_task.setdefault(task, []).extend(some)
        counted = [_pairs_of(some) for some in by_task.values()]
        pairs = [one for one in counted if one is not None]
        self.pairs = sum(pairs) if pairs and len(pairs) == len(counted) else None
        tokens = [_tokens_of(some) for some in by_task.values()]
        known = [number for number in tokens if number is not None]
        sizes = [len(some) for some in by_task.values()]
        self.pairs_per_rollout = ratio(pairs, sizes) if self.pairs is not None else None
        all_known = self.pairs is not None and len(known) == len(tokens)
        self.pairs_per_token = ratio(pairs, known) if all_known else None
        scored = {task: [one.reward for one in some if one.reward is not None] for task, some in by_task.items()}
        scored = {task: some for task, some in scored.items() if some}
        self.reward = ratio([sum(some) for some in scored.values()], [len(some) for some in scored.values()])
        self.rewards = {task: sum(some) / len(some) for task, some in scored.items()}
        lengths = {task: _tokens_of(some) for task, some in by_task.items()}
        self.lengths = {task: all_of / len(by_task[task]) for task, all_of in lengths.items() if all_of is not None}


def _pairs_of(some: Sequence[RequestRecord]) -> int | None:
    given = [one.group_pairs for one in some if one.group_pairs is not None]
    return sum(given) if given else None


def _tokens_of(some: Sequence[RequestRecord]) -> float | None:
    given = [one.output_tokens for one in some if one.output_tokens is not None]
    return sum(given) if len(given) == len(some) else None


def _resampled(
    trials: Sequence[TrialRecord],
    measured: Sequence[RequestRecord],
    weights: Sequence[float] | None,
    rng: np.random.Generator,
) -> Floats:
    """Resampled rates of what ended in the windows, each counted once or by its weight."""
    ended: dict[int, list[float]] = {trial.trial: [] for trial in trials}
    worth: dict[int, list[float]] = {trial.trial: [] for trial in trials}
    for place, one in enumerate(measured):
        ended[one.trial].append(one.ended)
        worth[one.trial].append(1.0 if weights is None else weights[place])
    blocks, lengths = [], []
    for trial in trials:
        number = max(_LEAST_BLOCKS, min(_BLOCKS, len(ended[trial.trial]) // trial.level))
        borders = np.linspace(trial.warmup_s, trial.warmup_s + trial.measured_s, number + 1)
        counts, _ = np.histogram(ended[trial.trial], borders, weights=worth[trial.trial] or None)
        blocks.append(counts.astype(float))
        lengths.append(trial.measured_s / number)
    return resampled_rates(blocks, lengths, rng)


def _tokens_per_s(
    trials: Sequence[TrialRecord], measured: Sequence[RequestRecord], seconds: float, rng: np.random.Generator
) -> Interval | None:
    """None where a reply did not say how many tokens it has."""
    tokens = [one.output_tokens for one in measured if one.output_tokens is not None]
    if not tokens or len(tokens) < len(measured):
        return None
    return spread_of(sum(tokens) / seconds, _resampled(trials, measured, tokens, rng))


def _halves(trials: Sequence[TrialRecord], measured: Sequence[RequestRecord]) -> float | None:
    middle = {trial.trial: trial.warmup_s + trial.measured_s / 2 for trial in trials}
    late = sum(one.ended >= middle[one.trial] for one in measured)
    early = len(measured) - late
    return late / early if early else None


def _product(per_rollout: Ratio | None, rate: Interval) -> Interval | None:
    """The rate of what comes with each rollout; relative errors add in squares."""
    if per_rollout is None:
        return None
    value = per_rollout.value * rate.value
    if value <= 0:
        return Interval(0.0, 0.0, 0.0)
    of_rate = (rate.high - rate.low) / (2 * 1.96 * rate.value)
    error = value * float(np.hypot(per_rollout.error / per_rollout.value, of_rate))
    return Interval(value, max(0.0, value - 1.96 * error), value + 1.96 * error)


def _scaled(one: Ratio | None, factor: float) -> Interval | None:
    if one is None:
        return None
    interval = one.interval
    return Interval(interval.value * factor, max(0.0, interval.low) * factor, interval.high * factor)


def _weighted(values: Sequence[tuple[float, float]]) -> float:
    return sum(value * weight for value, weight in values) / sum(weight for _, weight in values)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _std(values: Sequence[float]) -> float | None:
    return float(np.std(values)) if values else None
