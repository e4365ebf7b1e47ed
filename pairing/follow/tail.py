"""Reads a file that grows: whole lines alone, and it notices when the file is cut, rewritten or replaced."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from collector.errors import InputError

__all__ = ["Tail"]

_BLOCK = 1 << 18
_REMEMBERED = 64
"""Bytes in front of the place reached that are compared before reading on."""


class Tail:
    """What comes to `path`, from its beginning. The file that was opened first stays the one that is read, also when
    its name comes to mean another."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._offset = 0
        self._before = b""
        self._size = _BLOCK

    @property
    def opened(self) -> bool:
        """True once there was a file to read."""
        return self._descriptor is not None

    def is_replaced(self) -> bool:
        """True when the name means another file than the one that is read, or none."""
        return self._descriptor is not None and not self._is_named(self._descriptor)

    def is_cut(self) -> bool:
        """True when what was read is no longer there: the file is shorter, or says something else."""
        if self._descriptor is None:
            return False
        start = self._offset - len(self._before)
        return self.read(start, len(self._before)) != self._before

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        """(offset, whole lines) for all that has come since. A line without its newline waits. Raises InputError."""
        if self._descriptor is None and not self._open():
            return
        while data := self.read(self._offset, self._size):
            cut = data.rfind(b"\n") + 1
            if not cut and len(data) < self._size:
                return
            if not cut:
                self._size *= 2  # a long line
                continue
            chunk = data[:cut]
            offset, self._offset = self._offset, self._offset + cut
            self._before, self._size = chunk[-_REMEMBERED:], _BLOCK
            yield offset, chunk

    def read(self, offset: int, length: int) -> bytes:
        """The bytes at `offset` of the file that was opened; fewer at its end. Raises InputError."""
        if self._descriptor is None:
            return b""
        try:
            return os.pread(self._descriptor, length, offset)
        except OSError as error:
            raise self._unreadable(error) from None

    def close(self) -> None:
        """The next reading begins anew, with the file that has the name then."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor, self._offset, self._before, self._size = None, 0, b"", _BLOCK

    def _open(self) -> bool:
        try:
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise self._unreadable(error) from None
        return True

    def _is_named(self, descriptor: int) -> bool:
        with suppress(OSError):
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        return False

    def _unreadable(self, error: OSError) -> InputError:
        return InputError(f"{self.path}: cannot be read: {error.strerror}; check the path (--input)")
