"""Part memory: does the most memory a run needs grow with its rollouts? Sealing included."""

from __future__ import annotations

from pathlib import Path

from bench.clients import run_client
from bench.findings import Figure, Findings
from bench.sizes import Sizes

__all__ = ["measure_memory"]

_MOST_GROWTH = 1.10
_MOST_MB = 120


def measure_memory(sizes: Sizes, folder: Path) -> Findings:
    """A short run and a long one, alike in all but their number of rollouts."""
    short, long = (
        run_client("pairmill", folder, rollouts, sizes.memory_in_flight) for rollouts in sizes.memory_rollouts
    )
    growth = long.usage.peak_mb / short.usage.peak_mb
    figures = [
        Figure(f"peak memory, {run.rollouts:,} rollouts, {run.in_flight} in flight", run.usage.peak_mb, "MiB", _MOST_MB)
        for run in (short, long)
    ]
    figures.append(Figure("long / short", growth, "x", _MOST_GROWTH))
    runs = [
        {"rollouts": run.rollouts, "peak_mb": round(run.usage.peak_mb, 1), "all_in_ms": round(run.cpu_ms, 4)}
        for run in (short, long)
    ]
    return Findings("memory", figures, {"runs": runs, "growth": round(growth, 4)})
