"""Parts of one file of rollouts in task order, cut between groups: what one worker pairs at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from collector.errors import InputError
from pairing.reading.files import LineReader, ReadTally
from pairing.reading.identity import PromptIds
from pairing.reading.lines import BLOCK, blocks_of_lines, lines_of
from pairing.reading.plain_rows import Run, Trust, plain_runs
from pairing.reading.rollouts import BrokenLine, decode_row

__all__ = ["SPAN", "read_span", "span_starts"]

SPAN = 8 * 2**20
"""Bytes: some hundred groups, so that what a worker hands back is a few megabytes."""


def span_starts(path: Path, span: int = SPAN) -> list[int]:
    """Where the parts of the file are to begin, before they are moved to the next border between groups."""
    return list(range(0, path.stat().st_size, span))


def read_span(path: Path, begin: int, span: int, tally: ReadTally, trust: Trust) -> Iterator[Run]:
    """The runs between the first border at or after `begin` and the first at or after `begin + span`: parts that follow
    one another leave no line out and have none twice. Raises InputError when the file cannot be read, NotInOrder where
    `plain_runs` does."""
    try:
        with path.open("rb", buffering=0) as file:
            start, stop = _border(file, begin), _border(file, begin + span)
            file.seek(start)
            reader = LineReader(path, tally, PromptIds(), start)
            left = stop - start

            def read(size: int) -> bytes:
                nonlocal left
                data = file.read(min(size, left))
                left -= len(data)
                return data

            yield from plain_runs(lines_of(read), reader, trust)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; check the path") from None


def _border(file: BinaryIO, at: int) -> int:
    """Where the first line begins, after the line that begins at or after `at`, whose task index is another than that
    of the line before it; lines without one are passed over. The file's end when there is none. It depends on `at`
    alone, so that two parts agree."""
    size = os.fstat(file.fileno()).st_size
    if at <= 0 or at >= size:
        return max(0, min(at, size))
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
