"""The lines of a rollouts file in whole blocks, compressed or not: what costs too much line by line is done by block.

Where a line ends is the journal's rule: only a newline ends one; CRLF, a byte order mark, blank lines and a missing
last newline are read over.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["BLOCK", "BOM", "LINES", "Block", "blocks_of_lines", "lines_of", "trimmed"]

BLOCK = 1 << 16
"""Bytes per read: large enough that the call costs nothing, small enough to stay in the processor's cache."""
BOM = b"\xef\xbb\xbf"

LINES = 1 << 18
"""Bytes per read where lines are copied out one by one: each is still in the processor's cache when it is decoded."""

Block = tuple[bytes, int, int, int]
"""(data, start, stop, offset): data[start:stop] holds whole lines, the last perhaps without its newline; `offset` is
where data[0] stands in the file."""


def blocks_of_lines(read: Callable[[int], bytes], offset: int = 0) -> Iterator[Block]:
    """All that `read` gives, cut between lines. A line over several blocks comes alone, joined once."""
    begun: list[bytes] = []
    begun_at = 0
    while data := read(BLOCK):
        start = 0
        stop = data.rfind(b"\n") + 1
        if begun:
            begun.append(data)
            if stop:
                start = data.find(b"\n") + 1
                begun[-1] = data[:start]
                line = b"".join(begun)
                yield line, 0, len(line), begun_at
                begun = []
        if stop and stop < len(data):
            begun, begun_at = [data[stop:]], offset + stop
        elif not stop and not begun:
            begun, begun_at = [data], offset
        if start < stop:
            yield data, start, stop, offset
        offset += len(data)
    if begun:
        line = b"".join(begun)
        yield line, 0, len(line), begun_at


def lines_of(read: Callable[[int], bytes]) -> io.BufferedReader:
    """All that `read` gives, line by line, newlines included."""
    return io.BufferedReader(_Source(read), LINES)


class _Source(io.RawIOBase):
    """What BufferedReader takes."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def trimmed(data: bytes, start: int, end: int, first: bool) -> tuple[int, int]:
    """Where the content of a line stands: (start, end), equal for a blank one. `first` says that it is the file's first
    line, which may begin with a byte order mark."""
    if first and data.startswith(BOM, start):
        start += len(BOM)
    if end > start and data[end - 1] == 0x0D:
        end -= 1
    return (start, start) if not data[start:end].strip() else (start, end)
