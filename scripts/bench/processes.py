"""Processes of the benchmark: a client that is measured to its end, and the replay server beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.replay import Counts

__all__ = ["Failed", "ReplayServer", "Usage", "busy_seconds", "cpu_seconds", "finish", "launch", "resident_mb", "start"]

_SCRIPTS = Path(__file__).parents[1]
_MEBIBYTE = 2**20


class Failed(Exception):  # noqa: N818 - it says what happened to a client, and ends the benchmark
    """A client of the benchmark ended badly, or left fewer rows than it should: no number of it means anything."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process used from its first instruction to its last: `cpu` user and system seconds of all its threads,
    `wall` seconds, `peak_mb` the most memory resident, in MiB (0 for a process that does not say). `extra` is what it
    reports itself."""

    cpu: float
    wall: float
    peak_mb: float = 0.0
    extra: dict[str, Any] = field(default_factory=dict)


def start(module: str, *arguments: object, log: Path) -> subprocess.Popen[bytes]:
    """Starts a module of the benchmark. Its output goes to `log`."""
    return launch([sys.executable, "-m", module, *map(str, arguments)], log)


def launch(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """Starts `command` where it can import the benchmark's modules, with bytecode kept as in any installation: else
    each start would compile the project anew."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with log.open("wb") as output:
        return subprocess.Popen(
            command, cwd=_SCRIPTS, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )


def finish(process: subprocess.Popen[bytes], began: float, log: Path, report: Path | None = None) -> Usage:
    """Waits for the process's end. `report` is where it leaves its own figures. Raises Failed when it ended badly."""
    try:
        _, status, used = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - began
    if process.returncode:
        tail = log.read_text(encoding="utf-8", errors="replace")[-2_000:]
        raise Failed(f"{process.args!r} ended with {process.returncode}:\n{tail}")
    extra = json.loads(report.read_bytes()) if report else {}
    return Usage(used.ru_utime + used.ru_stime, wall, extra.pop("peak_kb", 0) * 1024 / _MEBIBYTE, extra)


def cpu_seconds(pid: int) -> float:
    """User and system CPU seconds of a living process so far (Linux: fields 14 and 15 of /proc/PID/stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def busy_seconds() -> float:
    """CPU seconds, all processors together, that this machine worked or was kept from working since it started."""
    line = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0]
    user, nice, system, _idle, _waiting, *interrupts_and_stolen = map(int, line.split()[1:9])
    return (user + nice + system + sum(interrupts_and_stolen)) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    """MiB of a living process that are in memory now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MEBIBYTE


class ReplayServer:
    """The replay server in a process of its own, for the length of a `with` block."""

    def __init__(self, latency: float = 0.0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.replay", "--latency", str(latency)],
            cwd=_SCRIPTS,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.base_url = ""

    def __enter__(self) -> ReplayServer:
        assert self._process.stdout is not None
        port = self._process.stdout.readline().decode().strip()
        if not port:
            raise Failed("the replay server did not start")
        self.base_url = f"http://127.0.0.1:{port}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    @property
    def cpu(self) -> float:
        """CPU seconds of the server so far."""
        return cpu_seconds(self._process.pid)

    def counts(self) -> Counts:
        """What it saw so far."""
        with urllib.request.urlopen(self.base_url.removesuffix("/v1") + "/counts") as reply:
            return Counts(**json.load(reply))
