"""Part start: CPU and memory of the installed command until its first request, and CPU of --help."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from bench.clients import collect_arguments, scratch
from bench.findings import Figure, Findings, median, spread
from bench.processes import Failed, ReplayServer, cpu_seconds, finish, launch, resident_mb
from bench.prompts import write_prompts
from bench.sizes import Sizes

__all__ = ["measure_start"]

_COMMAND = str(Path(sys.executable).with_name("pairmill"))
_MOST_CPU = 0.6
_MOST_HELP_CPU = 0.3
_MOST_MB = 70
_ROLLOUTS = 400
_NEVER = 3_600.0
"""Seconds of latency: the first request is the last thing that happens, so the CPU then can be read in peace."""
_PATIENCE = 60.0


def measure_start(sizes: Sizes, folder: Path) -> Findings:
    """One request in flight, so that nothing but the start-up is measured."""
    starts = [_first_request(folder) for _ in range(sizes.start_rounds)]
    helps = [_help(folder) for _ in range(sizes.start_rounds)]
    cpu, memory = [used for used, _ in starts], [mb for _, mb in starts]
    figures = [
        Figure("CPU until the first request", median(cpu), "s", _MOST_CPU, note=spread(cpu)),
        Figure("memory at the first request", median(memory), "MiB", _MOST_MB, note=spread(memory)),
        Figure("CPU of collect --help", median(helps), "s", _MOST_HELP_CPU, note=spread(helps)),
    ]
    data = {"cpu_s": median(cpu), "help_cpu_s": median(helps), "resident_mb": median(memory)}
    return Findings("start", figures, data)


def _first_request(folder: Path) -> tuple[float, float]:
    """(CPU seconds, MiB in memory) of the command when its first request is out."""
    with scratch(folder) as place, ReplayServer(_NEVER) as server:
        source, log = place / "prompts.jsonl", place / "log"
        write_prompts(source, _ROLLOUTS)
        arguments = collect_arguments(source, place / "rollouts.jsonl", server.base_url, 1)
        process = launch([_COMMAND, *arguments], log)
        try:
            end = time.monotonic() + _PATIENCE
            while not server.counts().requests:
                if process.poll() is not None or time.monotonic() > end:
                    raise Failed(f"no request came:\n{log.read_text(encoding='utf-8', errors='replace')[-2_000:]}")
                time.sleep(0.02)
            return cpu_seconds(process.pid), resident_mb(process.pid)
        finally:
            process.kill()
            process.wait()


def _help(folder: Path) -> float:
    with scratch(folder) as place:
        began, log = time.monotonic(), place / "log"
        return finish(launch([_COMMAND, "collect", "--help"], log), began, log).cpu
