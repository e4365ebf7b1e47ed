"""Part load: thousands of requests in flight at a server that takes its time; does the run keep it full?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.clients import Run, run_client
from bench.findings import Figure, Findings, median, spread
from bench.processes import busy_seconds
from bench.sizes import Sizes

__all__ = ["measure_load"]

_MOST_STRETCH = 1.10
_MOST_MB = 350


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A run, its makespan over the ideal one, and the processors that others kept busy meanwhile."""

    run: Run
    stretch: float
    others: float


def measure_load(sizes: Sizes, folder: Path) -> Findings:
    """The makespan is the server's: from the first request that reached it to its last reply. Ideal is every slot taken
    all the time: ceil(rollouts / in flight) times the latency."""
    ideal = math.ceil(sizes.load_rollouts / sizes.load_in_flight) * sizes.load_latency
    ours: list[_Loaded] = []
    bare: list[_Loaded] = []
    for _ in range(sizes.load_rounds):
        ours.append(_loaded("pairmill", sizes, folder, ideal))
        bare.append(_loaded("aiohttp", sizes, folder, ideal))
    at = f"{sizes.load_in_flight:,} in flight, {sizes.load_latency:g} s latency"
    high_water = min(one.run.counts.high_water for one in ours)
    figures = [
        Figure(f"in flight at the server, {at}", high_water, "", least=sizes.load_in_flight),
        _figure("makespan / ideal", [one.stretch for one in ours], "x", _MOST_STRETCH),
        _figure("bare aiohttp loop: makespan / ideal", [one.stretch for one in bare], "x"),
        _figure("peak memory", [one.run.usage.peak_mb for one in ours], "MiB", _MOST_MB),
        _figure("bare aiohttp loop: peak memory", [one.run.usage.peak_mb for one in bare], "MiB"),
        _figure("CPU a rollout, all in", [one.run.cpu_ms for one in ours], "ms"),
        _figure("bare aiohttp loop: CPU a rollout, all in", [one.run.cpu_ms for one in bare], "ms"),
    ]
    data = {"ideal_s": ideal, "in_flight": sizes.load_in_flight, "ours": _found(ours), "bare": _found(bare)}
    return Findings("load", figures, data)


def _loaded(client: str, sizes: Sizes, folder: Path, ideal: float) -> _Loaded:
    busy = busy_seconds()
    run = run_client(client, folder, sizes.load_rollouts, sizes.load_in_flight, latency=sizes.load_latency)
    others = (busy_seconds() - busy - run.usage.cpu - run.server_cpu) / run.usage.wall
    return _Loaded(run, (run.counts.last - run.counts.first) / ideal, max(0.0, others))


def _figure(what: str, values: Sequence[float], unit: str, most: float | None = None) -> Figure:
    return Figure(what, median(values), unit, most, note=spread(values))


def _found(all_loaded: list[_Loaded]) -> dict[str, float]:
    """Medians of the rounds; the lowest high water."""
    runs = [one.run for one in all_loaded]
    return {
        "rollouts": runs[0].rollouts,
        "high_water": min(run.counts.high_water for run in runs),
        "makespan_s": median(run.counts.last - run.counts.first for run in runs),
        "stretch": median(one.stretch for one in all_loaded),
        "process_s": median(run.usage.wall for run in runs),
        "peak_mb": median(run.usage.peak_mb for run in runs),
        "all_in_ms": median(run.cpu_ms for run in runs),
        "busy_with_others": median(one.others for one in all_loaded),
    }
