"""Parts of one file of rollouts in task order, cut between groups: what one worker pairs at a time."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from collector.errors import InputError
from pairing.reading.files import LineReader, ReadTally
from pairing.reading.identity import PromptIds
from pairing.reading.lines import BLOCK, LINES, blocks_of_lines
from pairing.reading.plain_rows import Run, Trust, plain_runs
from pairing.reading.rollouts import BrokenLine, decode_row

__all__ = ["SPAN", "read_span", "spans_of"]

SPAN = 8 * 2**20
"""Bytes of a part at most: some hundred groups, so that what a worker hands back is a few megabytes."""
_SMALLEST = 8
"""The last parts are so many times smaller: then all workers end at about the same time."""
_EACH = 4


def spans_of(path: Path, span: int, workers: int) -> Iterator[tuple[int, int]]:
    """The parts of the file one after the other, as (start, stop), both between groups: no line is left out, and none
    is in two. Raises InputError when it cannot be read."""
    try:
        with path.open("rb", buffering=0) as file:
            size, start = os.fstat(file.fileno()).st_size, 0
            while start < size:
                wanted = max(1, span // _SMALLEST, min(span, (size - start) // (_EACH * workers)))
                stop = _border(file, start + wanted, size)
                yield start, stop
                start = stop
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; check the path") from None


def read_span(path: Path, start: int, stop: int, tally: ReadTally, trust: Trust) -> Iterator[Run]:
    """The runs of one part. Raises InputError when the file cannot be read, NotInOrder where `plain_runs` does."""
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            reader = LineReader(path, tally, PromptIds(), start)
            with io.BufferedReader(_Until(file, stop - start), LINES) as lines:
                yield from plain_runs(lines, reader, trust)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; check the path") from None


class _Until(io.RawIOBase):
    """The next `left` bytes of a file, read to where they are wanted."""

    def __init__(self, file: io.FileIO, left: int) -> None:
        self._file, self._left = file, left

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        got = self._file.readinto(memoryview(buffer)[: self._left])
        self._left -= got
        return got


def _border(file: BinaryIO, at: int, size: int) -> int:
    """Where the first line begins, after the line that begins at or after `at` (1 or more), whose task index is another
    than that of the line before it; lines without one are passed over. The file's end when there is none."""
    if at >= size:
        return size
    file.seek(at - 1)
    task: int | None = None
    for data, start, stop, offset in blocks_of_lines(lambda _: file.read(BLOCK), at - 1):
        while start < stop:
            end = data.find(b"\n", start, stop)
            end = stop if end < 0 else end
            line_at, line = offset + start, data[start:end]
            start = end + 1
            if line_at < at or line.isspace() or not line:
                continue
            try:
                now = decode_row(line).task_index
            except BrokenLine:
                continue
            if now is None:
                continue
            if task is not None and now != task:
                return line_at
            task = now
    return size
