"""The live file: pairs as they come, whole lines, appended and never changed. Whoever begins again finds those that
stand there already, so that no pair is written twice.

The lines need not survive a power loss: whatever is missing is made again of the rollouts.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

from collector.errors import OutputError
from pairing.output.drafts import new_draft, remove_stale

__all__ = ["LiveFile"]

_BLOCK = 1 << 18
_MOST_WAITING = 1 << 20
"""Bytes that wait to be appended; more go at once."""


class LiveFile:
    """Raises OutputError when `path` cannot be written, or another process follows into it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        remove_stale(path)
        self._descriptor = self._open()
        self._end = self._sound_end()
        self._waiting: list[bytes] = []
        self._size = self._end
        """Bytes of the file once all that waits is written."""
        self.begin_again()

    def begin_again(self) -> None:
        """Lines are made from the first on: those that stand here are theirs."""
        self.flush()
        self._cursor, self._until = 0, self._end
        """What stands between the two was not made again so far, in the order in which it stands there."""
        self._others: dict[bytes, list[tuple[int, int]]] | None = None
        """The same, by content, once the order is another."""

    def put(self, line: bytes) -> int:
        """Where `line` stands, in bytes: appended at the next `flush`, unless it is there already."""
        if self._cursor < self._until and self._others is None:
            if self.read(self._cursor, len(line) + 1) == line + b"\n":
                found, self._cursor = self._cursor, self._cursor + len(line) + 1
                return found
            self._others = self._remaining()
        if self._others:
            places = self._others.get(_digest(line))
            if places:
                offset, _ = places.pop(0)
                return offset
        offset = self._size
        self._waiting.append(line)
        self._size += len(line) + 1
        if self._size - self._end > _MOST_WAITING:
            self.flush()
        return offset

    def flush(self) -> None:
        """Appends what waits, in one piece. Raises OutputError when the disk refuses; no half line stays then."""
        if not self._waiting:
            return
        data = memoryview(b"\n".join((*self._waiting, b"")))
        try:
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._end)
            raise self._failed(error) from None
        self._waiting, self._end = [], self._size

    def strangers(self) -> int:
        """Lines that nobody has made again so far."""
        if self._others is None and self._cursor < self._until:
            self._others = self._remaining()
        return sum(map(len, (self._others or {}).values()))

    def replace(self) -> None:
        """An empty file takes the name; whoever has the old one open keeps it."""
        try:
            draft, file = new_draft(self.path)
            with file:
                descriptor = os.open(draft, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
                draft.replace(self.path)
        except OSError as error:
            raise self._failed(error) from None
        os.close(self._descriptor)
        self._descriptor, self._waiting, self._end, self._size = descriptor, [], 0, 0
        self._lock(descriptor)
        self.begin_again()

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)

    def remove(self) -> None:
        """The file goes: its pairs stand in the output."""
        with suppress(OSError):
            self.path.unlink()
        self.close()

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> int:
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise self._failed(error) from None
        self._lock(descriptor)
        return descriptor

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise OutputError(f"{self.path}: another process writes its pairs there: give another --output") from None
        except OSError:  # a file system without such locks
            return

    def _sound_end(self) -> int:
        """Where the last whole line ends; what a killed writer left behind it is cut off."""
        size = end = os.fstat(self._descriptor).st_size
        while end and self.read(end - 1, 1) != b"\n":
            start = max(0, end - _BLOCK)
            end = start + self.read(start, end - start).rfind(b"\n") + 1
        if end < size:
            try:
                os.ftruncate(self._descriptor, end)
            except OSError as error:
                raise self._failed(error) from None
        return end

    def _remaining(self) -> dict[bytes, list[tuple[int, int]]]:
        found: dict[bytes, list[tuple[int, int]]] = {}
        for offset, line in self._lines(self._cursor, self._until):
            found.setdefault(_digest(line), []).append((offset, len(line)))
        return found

    def _lines(self, start: int, until: int) -> Iterator[tuple[int, bytes]]:
        begun = b""
        at = start
        while at < until:
            block = self.read(at, min(_BLOCK, until - at))
            if not block:
                return
            at += len(block)
            *lines, begun = (begun + block).split(b"\n")
            for line in lines:
                yield start, line
                start += len(line) + 1

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(f"{self.path}: cannot be written: {error.strerror or error} (--output)")


def _digest(line: bytes) -> bytes:
    return blake2b(line, digest_size=16).digest()
