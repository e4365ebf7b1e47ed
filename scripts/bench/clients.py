"""Runs one client against a replay server of its own, and checks that it did the work it was measured for."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.processes import Failed, ReplayServer, Usage, finish, start
from bench.prompts import REPEATS, write_prompts
from bench.replay import Counts

__all__ = ["Run", "collect_arguments", "collected", "run_client", "scratch"]

_BLOCK = 2**22


@dataclass(frozen=True, slots=True)
class Run:
    """One client's run. `rollouts` are the rows found on disk after it; `server_cpu` in seconds."""

    client: str
    rollouts: int
    in_flight: int
    usage: Usage
    counts: Counts
    server_cpu: float

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of client CPU a rollout, start-up and all."""
        return self.usage.cpu * 1e3 / self.rollouts


def run_client(client: str, folder: Path, rollouts: int, in_flight: int, *, latency: float = 0.0) -> Run:
    """`client` (pairmill, aiohttp, httpx) collects `rollouts`; what it wrote is counted and removed.

    Raises Failed when the server was asked, or the file holds, another number of rollouts.
    """
    with collected(client, folder, rollouts, in_flight, latency=latency) as (run, _):
        return run


@contextmanager
def collected(
    client: str, folder: Path, rollouts: int, in_flight: int, *, latency: float = 0.0
) -> Iterator[tuple[Run, Path]]:
    """As `run_client`, for a block in which the file that was written is still there."""
    with scratch(folder) as place, ReplayServer(latency) as server:
        source, target, report, log = (place / name for name in ("prompts.jsonl", "rollouts.jsonl", "report", "log"))
        write_prompts(source, rollouts)
        if client == "pairmill":
            arguments = collect_arguments(source, target, server.base_url, in_flight)
        else:
            arguments = [str(source), str(target), server.base_url, str(in_flight), str(REPEATS)]
        began = time.monotonic()
        usage = finish(start("bench.child", report, client, *arguments, log=log), began, log, report)
        counts, written = server.counts(), _lines(target)
        if counts.replies != rollouts or written != rollouts:
            raise Failed(f"{client}: {rollouts} rollouts wanted, {counts.replies} answered, {written} on disk")
        yield Run(client, written, in_flight, usage, counts, server.cpu), target


def collect_arguments(source: Path, target: Path, base_url: str, in_flight: int) -> list[str]:
    """The command line of the collector's run."""
    return [
        "collect",
        f"--input={source}",
        f"--output={target}",
        f"--base-url={base_url}",
        f"--num-repeats={REPEATS}",
        f"--num-samples-in-parallel={in_flight}",
        "--verifier=contains",
    ]


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A new folder inside `folder`, removed when the block ends."""
    place = Path(tempfile.mkdtemp(dir=folder))
    try:
        yield place
    finally:
        shutil.rmtree(place)


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b""))
