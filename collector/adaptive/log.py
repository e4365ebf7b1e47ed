"""The changes of a run's limits on disk: `rollouts_limits.jsonl`, a line each, written as they come."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import orjson

from collector.adaptive.changes import LimitChange
from collector.journal.paths import StreamPaths
from collector.journal.runfile import now as wall_clock

__all__ = ["LimitLog", "forget_limits", "limits_path"]


def limits_path(output: Path) -> Path:
    """Where the changes of a run with that output stand."""
    return StreamPaths.for_output(output).limits


def forget_limits(output: Path) -> None:
    """Removes the log of a run that another, whose limit is fixed, has replaced."""
    with suppress(OSError):
        limits_path(output).unlink()


class LimitLog:
    """A line: `time` (UTC), `seconds` since the run began, `endpoint`, `old`, `new`, `reason`; the first of an endpoint
    is its limit at the start, with 0 as `old`. A disk that fails ends the log with a note, and not the run: no rollout
    depends on it."""

    def __init__(self, path: Path, began: float, *, keep: bool, note: Callable[[str], None]) -> None:
        """`began` is on the clock of the changes. `keep` leaves what an earlier part of the run wrote."""
        self._path = path
        self._began = began
        self._mode = "ab" if keep else "wb"
        self._note = note
        self._file: IO[bytes] | None = None
        self._failed = False

    def write(self, change: LimitChange) -> None:
        line: dict[str, Any] = {
            "time": wall_clock(),
            "seconds": round(change.at - self._began, 3),
            "endpoint": change.endpoint,
            "old": change.old,
            "new": change.new,
            "reason": change.reason,
        }
        if self._failed:
            return
        try:
            if self._file is None:
                self._file = self._path.open(self._mode, buffering=0)
            self._file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        except OSError as error:
            self._failed = True
            self._note(f"{self._path}: cannot be written: {error.strerror}; the limits' changes are kept no longer")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
