"""Trials that were never made: records as a sweep would have them, with a throughput of one's own choosing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from collector.parallelism.records import LoadFigures, RequestRecord, TrialRecord
from collector.parallelism.summary import Summary, summarise

REPEATS = 2
WARMUP, WINDOW, TAIL = 1.0, 10.0, 0.5


def trial(number: int, level: int, part: int = 1, **changes: Any) -> TrialRecord:
    given: dict[str, Any] = {
        "trial": number,
        "level": level,
        "part": part,
        "began": "2026-01-01T00:00:00Z",
        "first": 0,
        "prompts": 100,
        "warm": True,
        "enough": True,
        "warmup_s": WARMUP,
        "measured_s": WINDOW,
        "tail_s": TAIL,
        "rollouts": 0,
        "in_flight": float(level),
        "in_flight_max": level,
        "client_cpu": 0.1,
        "lag_p50": 0.0,
        "lag_p99": 0.001,
        "lag_max": 0.002,
        "machine_load": 0.5,
        "load": LoadFigures(polls=10, running=level, running_max=level, waiting=0, waiting_max=0, kv_max=0.2),
    }
    return TrialRecord(**{**given, **changes})


def requests(trial: TrialRecord, rate: float, seed: int = 0, **changes: Any) -> list[RequestRecord]:
    """Rollouts that end at an even pace from the begin to the end of the tail, two to a prompt."""
    rng = np.random.default_rng((seed, trial.trial))
    whole = WARMUP + WINDOW + TAIL
    made = []
    for place in range(int(rate * whole) // REPEATS * REPEATS):
        ended = (place + 0.5) / rate
        latency = max(trial.level, 1) / rate
        phase = "warm-up" if ended < WARMUP else "measured" if ended < WARMUP + WINDOW else "tail"
        given: dict[str, Any] = {
            "trial": trial.trial,
            "level": trial.level,
            "phase": phase,
            "task": place // REPEATS,
            "row": place // REPEATS + 1,
            "repeat": place % REPEATS,
            "attempt": 1,
            "sent": ended - latency,
            "latency": latency,
            "output_tokens": 10 + place % 5,
            "input_tokens": 20,
            "reward": float(rng.integers(0, 2)),
            "finish_reason": "stop",
            "endpoint": "made-up",
            "group_pairs": 1 if place % REPEATS == 0 else None,
        }
        made.append(RequestRecord(**{**given, **changes}))
    return made


def summary(
    rates: dict[int, float],
    passes: int = 1,
    changes: dict[int, dict[str, Any]] | None = None,
    more: dict[int, dict[str, Any]] | None = None,
    facts: dict[str, Any] | None = None,
) -> Summary:
    """A sweep with that throughput at each level; `changes` are of a level's trials, `more` of its requests."""
    trials: list[TrialRecord] = []
    made: dict[int, list[RequestRecord]] = {}
    for part in range(1, passes + 1):
        for level, rate in rates.items():
            one = trial(len(trials) + 1, level, part, rollouts=int(rate * WINDOW), **(changes or {}).get(level, {}))
            trials.append(one)
            made[one.trial] = requests(one, rate, **(more or {}).get(level, {}))

    def of(level: int) -> Sequence[RequestRecord]:
        return [record for one in trials if one.level == level for record in made[one.trial]]

    given = {"model": "made-up", "cache": "salt", "prompts": 100} | (facts or {})
    return summarise(given, trials, of, lambda _: REPEATS, seed=0, paired=True)
