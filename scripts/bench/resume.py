"""Part resume: CPU of the scan that finds what is done, and of the seal, at growing numbers of rows."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from bench.clients import collected, scratch
from bench.findings import Figure, Findings
from bench.processes import finish, start
from bench.prompts import REPEATS
from bench.sizes import Sizes

__all__ = ["measure_resume"]

_LEAST_MB_S = 500
_SAMPLES = 10 * REPEATS
_WINDOW = 128
"""Rollouts that are in flight together come back in any order."""
_TASK = re.compile(rb'"_ng_task_index":\d+')


def measure_resume(sizes: Sizes, folder: Path) -> Findings:
    """Rows as a run leaves them, copied under new task indices, and shuffled as replies are."""
    with collected("pairmill", folder, _SAMPLES, REPEATS) as (_, path):
        samples = path.read_bytes().splitlines(keepends=True)
    levels = [_level(folder, samples, rows) for rows in sizes.file_rows]
    slowest = max(level["scan_us_per_row"] for level in levels)
    linear = slowest / min(level["scan_us_per_row"] for level in levels)
    scans = [Figure(_scan_of(level), level["scan_mb_s"], "MB/s of CPU", least=_LEAST_MB_S) for level in levels]
    scans.append(Figure("scan, us a row: slowest / fastest of these", linear, "x"))
    seals = [
        Figure(f"seal of {level['rows']:,.0f} rows, CPU a row", level["seal_us_per_row"], "us") for level in levels
    ]
    return Findings("resume", scans + seals, {"levels": levels, "scan_slowest_to_fastest": round(linear, 3)})


def _scan_of(level: dict[str, float]) -> str:
    return f"scan of {level['rows']:,.0f} rows ({level['mb']:,.0f} MB)"


def _level(folder: Path, samples: list[bytes], rows: int) -> dict[str, float]:
    with scratch(folder) as place:
        path = place / "rollouts.jsonl"
        with path.open("wb") as file:
            file.writelines(_rows(samples, rows))
        size = path.stat().st_size
        scan, seal = (_step(place, step, path, rows) for step in ("scan", "seal"))
    return {
        "rows": rows,
        "mb": round(size / 1e6, 1),
        "scan_mb_s": round(size / 1e6 / scan, 1),
        "scan_us_per_row": round(scan * 1e6 / rows, 3),
        "seal_us_per_row": round(seal * 1e6 / rows, 3),
    }


def _step(place: Path, step: str, path: Path, rows: int) -> float:
    report, log = place / "report", place / "log"
    process = start("bench.child", report, step, path, rows, log=log)
    return float(finish(process, time.monotonic(), log, report).extra["step_cpu"])


def _rows(samples: list[bytes], rows: int) -> Iterator[bytes]:
    """`rows` rows in the order in which they might have come."""
    in_order = (
        _TASK.sub(b'"_ng_task_index":%d' % task, samples[(task * REPEATS + repeat) % len(samples)], count=1)
        for task in range(rows // REPEATS)
        for repeat in range(REPEATS)
    )
    order = random.Random(rows)
    while window := list(islice(in_order, _WINDOW)):
        order.shuffle(window)
        yield from window
