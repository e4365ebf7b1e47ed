"""Rows of four numbers, sorted by the first two, in 28 bytes each; past a limit they wait on disk.

Rows are sorted by chunks as they come, and merged when they are read: memory holds the sorted chunks, or, once they
went to disk, one chunk and a part of each.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.void]

__all__ = ["ROW", "SortedRows"]

ROW = np.dtype([("task", "<i8"), ("prompt", "<u8"), ("place", "<u8"), ("length", "<u4")])
_CHUNK = 1 << 16
"""Rows that are sorted at once: 1.8 MB."""
_PART = 1 << 12
"""Rows of a chunk that are in hand while chunks are merged."""


class SortedRows:
    """Rows by (task, prompt), those that are equal in it in the order they were added in. `limit` is in bytes. Use as a
    context manager: what is on disk goes with it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._filling = np.empty(_CHUNK, ROW)
        self._filled = 0
        self._chunks: list[Rows] = []
        self._spilled: list[tuple[int, int]] = []
        self._file: IO[bytes] | None = None

    def __enter__(self) -> SortedRows:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def spilled(self) -> bool:
        """True once rows are on disk."""
        return self._file is not None

    def add(self, rows: Rows) -> None:
        """Add rows, in the order in which they stand in the input."""
        while len(rows):
            taken = rows[: _CHUNK - self._filled]
            self._filling[self._filled : self._filled + len(taken)] = taken
            self._filled += len(taken)
            rows = rows[len(taken) :]
            if self._filled == _CHUNK:
                self._close_chunk()

    def blocks(self) -> Iterator[Rows]:
        """All rows, in order, some thousand at a time."""
        self._close_chunk()
        parts = [_Part(self, number) for number in range(len(self._spilled) + len(self._chunks))]
        while parts := [part for part in parts if part.load()]:
            # What is up to the least of the last keys in hand is complete.
            bound = min((part.last for part in parts if part.more), default=None)
            taken = np.concatenate([part.take(bound) for part in parts])
            order = np.lexsort((taken["place"], taken["prompt"], taken["task"]))
            yield taken[order]

    def read(self, chunk: int, start: int) -> Rows:
        """Some rows of a sorted chunk, from its row `start` on; those on disk are the first ones."""
        if chunk >= len(self._spilled):
            return self._chunks[chunk - len(self._spilled)][start : start + _PART]
        offset, count = self._spilled[chunk]
        assert self._file is not None  # noqa: S101 - there are no spilled chunks without it
        self._file.seek(offset + start * ROW.itemsize)
        return np.frombuffer(self._file.read(min(_PART, count - start) * ROW.itemsize), ROW)

    def _close_chunk(self) -> None:
        rows = self._filling[: self._filled]
        if not len(rows):
            return
        self._chunks.append(rows[np.lexsort((rows["prompt"], rows["task"]))])
        self._filled = 0
        if (len(self._chunks) + 1) * _CHUNK * ROW.itemsize > self._limit:
            self._spill()

    def _spill(self) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="pairmill-index-")  # noqa: SIM115 - closed at the end
        for chunk in self._chunks:
            self._spilled.append((self._file.seek(0, 2), len(chunk)))
            self._file.write(chunk.tobytes())
        self._chunks = []


class _Part:
    """What is in hand of one sorted chunk."""

    def __init__(self, rows: SortedRows, chunk: int) -> None:
        self._rows, self._chunk, self._start = rows, chunk, 0
        self._hand = np.empty(0, ROW)
        self.more = True
        """Whether the chunk may hold rows beyond those in hand."""

    @property
    def last(self) -> tuple[int, int]:
        """The key of the last row in hand."""
        return int(self._hand["task"][-1]), int(self._hand["prompt"][-1])

    def load(self) -> bool:
        """Have rows in hand; False when there are no more."""
        if not len(self._hand) and self.more:
            self._hand = self._rows.read(self._chunk, self._start)
            self._start += len(self._hand)
            self.more = len(self._hand) == _PART
        return len(self._hand) > 0

    def take(self, bound: tuple[int, int] | None) -> Rows:
        """The rows in hand up to `bound`, or all of them."""
        count = len(self._hand)
        if bound is not None:
            tasks, prompts = self._hand["task"], self._hand["prompt"]
            within = (tasks < bound[0]) | ((tasks == bound[0]) & (prompts <= np.uint64(bound[1])))
            count = int(np.count_nonzero(within))
        taken, self._hand = self._hand[:count], self._hand[count:]
        return taken
