"""Runs the real `pairmill` command in a process of its own, and watches it from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "Commands", "Done", "Running", "commands"]

ROOT = Path(__file__).parents[2]
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended. A negative `code` is the signal that killed it."""

    code: int
    out: str
    err: str

    def one_line(self, code: int = 1) -> str:
        """The error message of a command that must have ended with `code` and one line: no traceback, no second."""
        lines = [line for line in self.err.split("\n") if line.startswith("pairmill: error: ")]
        assert self.code == code, f"exit code {self.code}:\n{self.err}\n{self.out}"
        assert "Traceback" not in self.err, self.err
        assert len(lines) == 1, self.err
        assert self.err.endswith(lines[0] + "\n"), self.err
        return lines[0]


class Running:
    """A command that runs. `reports` are the lines that it wrote so far of what it has acknowledged."""

    def __init__(self, commands: Commands, pid: int, out: Path, err: Path, report: Path, failed: Path) -> None:
        self.pid = pid
        self.failed = failed
        """Names the call that failed as ordered; not there when the run made no such call."""
        self._commands = commands
        self._out, self._err, self._report = out, err, report
        self._done: Done | None = None

    def reports(self) -> list[str]:
        content = self._report.read_text() if self._report.exists() else ""
        return content[: content.rfind("\n") + 1].splitlines()

    def acknowledged(self) -> dict[tuple[int, int], str]:
        """(task, rollout) -> the id of the server's reply, for each rollout that this process has counted."""
        parts = [line.split(" ", 2) for line in self.reports() if line != "seal"]
        return {(int(task), int(rollout)): name for task, rollout, name in parts}

    def err_so_far(self) -> str:
        return self._err.read_text(errors="replace")

    def until(self, condition: Callable[[], bool]) -> None:
        """Returns when `condition` holds or the command has ended."""
        give_up = time.monotonic() + _PATIENCE
        while not condition() and self.alive():
            assert time.monotonic() < give_up, "the condition did not come true"
            time.sleep(0.0005)

    def alive(self) -> bool:
        """False once the process has ended (a zombie has)."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text()
        except FileNotFoundError:
            return False
        return stat.rpartition(")")[2].split()[0] != "Z"

    def signal(self, number: signal.Signals) -> None:
        if self._done is None:  # until it is waited for, its id is its own
            os.kill(self.pid, number)

    def wait(self) -> Done:
        if self._done is None:
            code = self._commands.ask({"wait": self.pid})
            self._done = Done(code, self._out.read_text(errors="replace"), self._err.read_text(errors="replace"))
        return self._done


class Commands:
    """Starts commands. One thread may use it; several commands may run at once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started = 0
        self._nursery = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "100", "OPENBLAS_NUM_THREADS": "1"},
        )

    def start(
        self,
        *words: str | Path,
        folder: Path | None = None,
        fault: tuple[str, int, int] | None = None,
        file_size: int = 0,
        uid: int = 0,
        **environment: str,
    ) -> Running:
        """`pairmill WORDS` in `folder`. `fault`: which kind of call that changes the disk (or "any"), the how manieth,
        and the errno that it fails with, 0 for a kill inside it. `file_size`: RLIMIT_FSIZE in bytes. `uid`: as whom."""
        self._started += 1
        out, err, report = (self._folder / f"{self._started}.{kind}" for kind in ("out", "err", "report"))
        failed = self._folder / f"{self._started}.failed"
        for path in (out, err):
            path.touch()  # a kill may come before the process has opened them
            path.chmod(0o666)
        order = {
            "words": [str(word) for word in words],
            "folder": str(folder or self._folder),
            "out": str(out),
            "err": str(err),
            "report": str(report),
            "fault": [*fault, str(failed)] if fault else None,
            "file_size": file_size,
            "uid": uid,
            "environment": environment,
        }
        return Running(self, self.ask({"start": order}), out, err, report, failed)

    def run(self, *words: str | Path, **options: Any) -> Done:
        """`start`, then wait for its end."""
        return self.start(*words, **options).wait()

    def ask(self, order: Mapping[str, Any]) -> int:
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.write(json.dumps(order) + "\n")
        self._nursery.stdin.flush()
        return int(json.loads(self._nursery.stdout.readline()))

    def close(self) -> None:
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.close()
        self._nursery.wait()
        self._nursery.stdout.close()


@contextmanager
def commands(folder: Path) -> Iterator[Commands]:
    """Commands whose output lies in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    nursery = Commands(folder)
    try:
        yield nursery
    finally:
        nursery.close()
