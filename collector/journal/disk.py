"""The system calls by which a run changes the disk, in one place, so that tests can make the Nth of them fail."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from collector.errors import OutputError

__all__ = ["DISK", "Disk", "reporting", "write_all"]


class Disk:
    """Thin names over os functions; all raise OSError. Everything that must survive a crash goes through here."""

    def open(self, path: Path, flags: int) -> int:
        return os.open(path, flags | os.O_CLOEXEC, 0o666)

    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        """Writes at a place of its own choosing, maybe not all of it: returns the number of bytes written."""
        return os.pwrite(fd, data, offset)

    def sync(self, fd: int) -> None:
        """Data, and the size needed to read it back, are on the device when this returns."""
        os.fdatasync(fd)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def replace(self, source: Path, target: Path) -> None:
        source.replace(target)

    def unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def link(self, source: Path, target: Path) -> None:
        """A second name for the same file."""
        os.link(source, target)

    def make_folder(self, path: Path) -> None:
        path.mkdir()

    def remove_folder(self, path: Path) -> None:
        """Removes an empty folder."""
        path.rmdir()

    def sync_folder(self, folder: Path) -> None:
        """Names created, replaced and removed in `folder` are on the device when this returns."""
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems have no such call
                raise
        finally:
            os.close(fd)


DISK = Disk()


def write_all(disk: Disk, fd: int, data: bytes, offset: int) -> None:
    """Writes all of `data` at `offset`, however many calls that takes."""
    view = memoryview(data)
    while view:
        count = disk.write(fd, view, offset)
        if count <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        offset += count
        view = view[count:]


@contextmanager
def reporting(path: Path, way_out: str) -> Iterator[None]:
    """Turns an OSError inside into an OutputError that names `path`, the cause and the way out."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: {describe(error)}; {way_out}") from None


def describe(error: OSError) -> str:
    """The system's own words for an error, without its number or path."""
    return error.strerror or type(error).__name__


def close_quietly(fd: int) -> None:
    """Closes a descriptor whose data is already synced: an error here has nothing left to tell."""
    with suppress(OSError):
        os.close(fd)
