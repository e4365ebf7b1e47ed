"""One file that only grows, and that knows how far it is durable."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from collector.journal.disk import Disk, close_quietly, write_all

__all__ = ["AppendFile"]


class AppendFile:
    """Appends to `path`, made when it is not there. All methods block and raise OSError.

    `end` is the file's durable length in bytes: what a crash cannot take away. One writer at a time.
    """

    def __init__(self, path: Path, disk: Disk, first_sync: Callable[[], None] | None = None) -> None:
        """`first_sync` is called once, when the first write is durable."""
        self.path = path
        self._disk = disk
        self._first_sync = first_sync
        new = not path.exists()
        self._fd = disk.open(path, os.O_WRONLY | os.O_CREAT)
        try:
            if new:
                disk.sync_folder(path.parent)
            self.end = self._written = os.fstat(self._fd).st_size
        except OSError:
            close_quietly(self._fd)
            raise

    def write(self, data: bytes) -> None:
        """Appends all of `data`; durable only after `sync`."""
        write_all(self._disk, self._fd, data, self._written)
        self._written += len(data)

    def sync(self) -> None:
        """Everything written so far is durable when this returns. After an error it must not be called again: the
        kernel may have dropped the pages that it could not write, and would report success for the rest."""
        self._disk.sync(self._fd)
        self.end = self._written
        if self._first_sync is not None:
            self._first_sync()
            self._first_sync = None

    def cut(self) -> None:
        """Takes back what is not durable, as far as the disk allows, so that the file ends in a whole line."""
        with suppress(OSError):
            self._disk.truncate(self._fd, self.end)
        self._written = self.end

    def close(self) -> None:
        close_quietly(self._fd)
