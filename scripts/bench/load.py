"""Part load: thousands of requests in flight at a server that takes its time; does the run keep it full?"""

from __future__ import annotations

import math
from pathlib import Path

from bench.clients import Run, run_client
from bench.findings import Figure, Findings
from bench.sizes import Sizes

__all__ = ["measure_load"]

_MOST_STRETCH = 1.10
_MOST_MB = 350


def measure_load(sizes: Sizes, folder: Path) -> Findings:
    """The makespan is the server's: from the first request that reached it to its last reply. Ideal is every slot taken
    all the time: ceil(rollouts / in flight) times the latency."""
    ideal = math.ceil(sizes.load_rollouts / sizes.load_in_flight) * sizes.load_latency
    ours, bare = (
        run_client(client, folder, sizes.load_rollouts, sizes.load_in_flight, latency=sizes.load_latency)
        for client in ("pairmill", "aiohttp")
    )
    at = f"{sizes.load_in_flight} in flight, {sizes.load_latency:g} s latency"
    ours_found, bare_found = _found(ours, ideal), _found(bare, ideal)
    figures = [
        Figure(f"in flight at the server, {at}", ours.counts.high_water, "", least=sizes.load_in_flight),
        Figure("makespan / ideal", ours_found["stretch"], "x", _MOST_STRETCH, note=f"ideal {ideal:g} s"),
        Figure("bare aiohttp loop: makespan / ideal", bare_found["stretch"], "x"),
        Figure("peak memory", ours.usage.peak_mb, "MiB", _MOST_MB),
        Figure("bare aiohttp loop: peak memory", bare.usage.peak_mb, "MiB"),
        Figure("CPU a rollout, all in", ours.cpu_ms, "ms"),
        Figure("bare aiohttp loop: CPU a rollout, all in", bare.cpu_ms, "ms"),
    ]
    data = {"ideal_s": ideal, "in_flight": sizes.load_in_flight, "ours": ours_found, "bare": bare_found}
    return Findings("load", figures, data)


def _found(run: Run, ideal: float) -> dict[str, float]:
    makespan = run.counts.last - run.counts.first
    return {
        "rollouts": run.rollouts,
        "high_water": run.counts.high_water,
        "makespan_s": round(makespan, 3),
        "stretch": round(makespan / ideal, 4),
        "process_s": round(run.usage.wall, 3),
        "peak_mb": round(run.usage.peak_mb, 1),
        "all_in_ms": round(run.cpu_ms, 4),
    }
