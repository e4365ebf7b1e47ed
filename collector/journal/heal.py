"""Cuts off what a killed run left half-written: the last line, when it is torn, and no more than that."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from collector.journal.disk import Disk, close_quietly, reporting

__all__ = ["heal_tail", "is_json"]

_BLOCK = 1 << 16


def heal_tail(path: Path, disk: Disk) -> str | None:
    """Truncates a last line that has no newline or is no JSON; a note about it, or None when there was none.

    Only the last line can be torn by a kill, and none that is cut off here was ever acknowledged: a commit is
    acknowledged when all of its bytes are on the device. Raises OutputError when the file cannot be changed.
    """
    with reporting(path, "nothing was changed; make it writable and run again with --resume"):
        fd = disk.open(path, os.O_RDWR)
        try:
            size = os.fstat(fd).st_size
            keep = _sound_end(fd, size)
            if keep == size:
                return None
            disk.truncate(fd, keep)
            disk.sync(fd)
        finally:
            close_quietly(fd)
    return f"{path}: cut off a torn last line ({size - keep} bytes at byte {keep}), as a killed run leaves one"


def _sound_end(fd: int, size: int) -> int:
    """Where the last line that is whole ends, in bytes from the start."""
    if size == 0:
        return 0
    ended = os.pread(fd, 1, size - 1) == b"\n"
    end = size - 1 if ended else size
    start = _line_start(fd, end)
    return size if ended and is_json(_read(fd, start, end)) else start


def _line_start(fd: int, end: int) -> int:
    """The offset after the last newline before `end`; 0 when there is none."""
    while end > 0:
        begin = max(0, end - _BLOCK)
        newline = _read(fd, begin, end).rfind(b"\n")
        if newline >= 0:
            return begin + newline + 1
        end = begin
    return 0


def _read(fd: int, start: int, end: int) -> bytes:
    return os.pread(fd, end - start, start)


def is_json(line: bytes) -> bool:
    """Whether a line holds JSON, or nothing."""
    if not line or line.isspace():
        return True
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return True
