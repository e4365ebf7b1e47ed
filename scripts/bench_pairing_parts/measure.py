"""Runs methods of the benchmark, and says what each used."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.processes import Usage, finish, start

__all__ = ["HEAD", "Input", "Measured", "cells", "measured", "run", "run_twice_at_once"]

_MEBIBYTE = 2**20
HEAD = ("method", "MB/s of CPU", "of the reference", "rows/s of CPU", "wall s", "peak MiB", "pairs")


@dataclass(frozen=True, slots=True)
class Input:
    """A file of rollouts: its size in bytes once unpacked, and its rows."""

    path: Path
    size: int
    rows: int


@dataclass(frozen=True, slots=True)
class Measured:
    """One method: the median of its rounds. CPU is user and system seconds of the process and its workers, from the
    first instruction to the last; `best` is the least of the rounds, which other work on the machine distorts least.
    `peak_mb` is the most memory resident (MiB), `worker_peak_mb` that of its largest worker."""

    method: str
    mb: float
    rows: int
    cpu: float
    best: float
    wall: float
    peak_mb: float
    worker_peak_mb: float
    pairs: int

    @property
    def mb_per_cpu_second(self) -> float:
        return self.mb / self.best

    def as_json(self) -> dict[str, Any]:
        """The raw numbers, and the rates."""
        rates = {"mb_per_cpu_s": self.mb_per_cpu_second, "rows_per_cpu_s": self.rows / self.best}
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in self._all(rates)}

    def _all(self, rates: Mapping[str, float]) -> list[tuple[str, Any]]:
        return [*asdict(self).items(), *rates.items()]


def run(method: str, given: Input, folder: Path) -> Usage:
    """Runs `method` once, in a process of its own. Raises bench.processes.Failed."""
    began, process, log, report = _started(method, given, folder, "one")
    return finish(process, began, log, report)


def run_twice_at_once(method: str, given: Input, folder: Path) -> float:
    """Runs `method` in two processes side by side, each for itself: seconds until both are done. What two processes of
    any kind can gain here, where processors share a cache, a clock or a host."""
    started = [_started(method, given, folder, name) for name in ("one", "other")]
    try:
        return max(finish(process, began, log, report).wall for began, process, log, report in started)
    finally:
        for _, process, _, _ in started:
            if process.returncode is None:
                process.kill()
                process.wait()


def _started(method: str, given: Input, folder: Path, name: str) -> tuple[float, subprocess.Popen[bytes], Path, Path]:
    output, report, log = (folder / f"{name}-{file}" for file in ("pairs.jsonl", "report.json", "log"))
    output.unlink(missing_ok=True)
    began = time.monotonic()
    return began, start("bench_pairing_parts.child", method, given.path, output, report, log=log), log, report


def measured(method: str, given: Input, used: Sequence[Usage]) -> Measured:
    """What the rounds of `method` come to."""
    return Measured(
        method=method,
        mb=given.size / 1e6,
        rows=given.rows,
        cpu=statistics.median(usage.cpu for usage in used),
        best=min(usage.cpu for usage in used),
        wall=min(usage.wall for usage in used),
        peak_mb=max(usage.peak_mb for usage in used),
        worker_peak_mb=max(usage.extra["worker_peak_kb"] for usage in used) * 1024 / _MEBIBYTE,
        pairs=used[0].extra["pairs"],
    )


def cells(all_measured: Sequence[Measured]) -> list[tuple[str, ...]]:
    """A line of the table for each method."""
    reference = next((each.mb_per_cpu_second for each in all_measured if each.method == "reference"), None)
    return [
        (
            each.method,
            f"{each.mb_per_cpu_second:,.0f}",
            f"{each.mb_per_cpu_second / reference:.1f} x" if reference else "",
            f"{each.rows / each.best:,.0f}",
            f"{each.wall:.2f}",
            f"{each.peak_mb:,.0f}" + (f" + {each.worker_peak_mb:,.0f}" if each.method == "workers" else ""),
            f"{each.pairs:,}",
        )
        for each in all_measured
    ]
