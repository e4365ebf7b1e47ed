"""Where each rollout's line stands, by group: the way to pair files in no order, in two passes.

28 bytes a row (task, prompt id, place, length), on disk past a limit. The second pass reads each line again where it
stands (`pread`), from the very file that was indexed, even when its name has come to mean another. A compressed file
has no places: what it unpacks to is kept in a temporary file meanwhile.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, NamedTuple

from collector.errors import InputError
from pairing.reading.compression import is_compressed, opened
from pairing.reading.files import ReadTally, make_rollout, rollouts_of
from pairing.reading.identity import PromptIds
from pairing.reading.lines import blocks_of_lines, lines_of
from pairing.reading.rollouts import BrokenLine, Rollout, decode_row

if TYPE_CHECKING:
    from pairing.reading.sorted_rows import Rows

__all__ = ["DEFAULT_MEMORY", "FILE_BITS", "NO_TASK", "OffsetIndex", "Places"]

DEFAULT_MEMORY = 256 * 2**20
NO_TASK = 2**63 - 1
"""In the place of a task index, for rows without one."""
FILE_BITS = 48
"""A place is a file's number, shifted by these, and a byte offset in it."""


class Places(NamedTuple):
    """Where the rows of one group stand, in reading order: places, and lengths in bytes."""

    task_index: int | None
    prompt: int
    starts: list[int]
    lengths: list[int]


class OffsetIndex:
    """Places of rollouts, given back group by group: by task index, then, for rows without one, by first appearance.

    Use as a context manager: it holds the files open. `memory` is what the places may take, in bytes. Raises InputError
    when a file cannot be opened, or when it was replaced or cut between the two passes.
    """

    def __init__(self, files: Sequence[Path], memory: int = DEFAULT_MEMORY) -> None:
        self._files, self._memory = list(files), memory
        self._open: list[int] = []
        self._closing = ExitStack()

    def __enter__(self) -> OffsetIndex:
        from pairing.reading.sorted_rows import (
            SortedRows,  # only files in no order need numpy, which takes a tenth of a second
        )

        self._rows = self._closing.enter_context(SortedRows(self._memory))
        self._later = self._closing.enter_context(SortedRows(self._memory))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._closing.close()

    @property
    def spilled(self) -> bool:
        """True when the places went to disk."""
        return self._rows.spilled

    def fill(self, tally: ReadTally, ids: PromptIds) -> None:
        """The first pass: note where each rollout of the files stands."""
        for number, path in enumerate(self._files):
            with opened(path) as file:
                read = self._unpacking(file.read) if is_compressed(path) else self._held(path)
                for batch in rollouts_of(path, blocks_of_lines(read), tally, ids):
                    self._add(number, batch)

    def sources(self) -> Iterator[tuple[int, Path, Iterable[bytes]]]:
        """For a first pass of another kind: number, path and lines of each file. What is found is to be `add`ed."""
        for number, path in enumerate(self._files):
            with opened(path) as file:
                read = self._unpacking(file.read) if is_compressed(path) else self._held(path)
                yield number, path, lines_of(read)

    def add(self, tasks: list[int], prompts: list[int], places: list[int], lengths: list[int]) -> None:
        """Note rows, one of each list, in reading order."""
        import numpy as np

        from pairing.reading.sorted_rows import ROW

        rows = np.empty(len(tasks), ROW)
        rows["task"], rows["prompt"], rows["place"], rows["length"] = tasks, prompts, places, lengths
        self._rows.add(rows)

    def groups(self) -> Iterator[Places]:
        """The places of each group."""
        self._check_unchanged()
        yield from _groups(self._by_task())
        for places in _groups(self._later.blocks()):
            yield places._replace(task_index=None)

    def lines(self, places: Places) -> list[bytes]:
        """The lines that stand there, read again from their files."""
        opened, mask = self._open, (1 << FILE_BITS) - 1
        return [
            os.pread(opened[start >> FILE_BITS], length, start & mask)
            for start, length in zip(places.starts, places.lengths, strict=True)
        ]

    def read(self, places: Places, ids: PromptIds) -> list[Rollout]:
        """The rollouts that stand there, likewise. Raises InputError when one is no more what it was."""
        return [self._read(start, length, ids) for start, length in zip(places.starts, places.lengths, strict=True)]

    def _held(self, path: Path) -> Callable[[int], bytes]:
        """Reads `path`, and keeps it open for the second pass."""
        try:
            file = self._closing.enter_context(path.open("rb", buffering=0))
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None
        self._open.append(file.fileno())
        return file.read

    def _unpacking(self, read: Callable[[int], bytes]) -> Callable[[int], bytes]:
        """`read`, with all that it gives kept for the second pass."""
        file = tempfile.TemporaryFile(prefix="pairmill-unpacked-", buffering=0)  # noqa: SIM115 - closed with the index
        kept: IO[bytes] = self._closing.enter_context(file)
        self._open.append(kept.fileno())

        def read_and_keep(size: int) -> bytes:
            data = read(size)
            kept.write(data)
            return data

        return read_and_keep

    def _add(self, file: int, batch: list[Rollout]) -> None:
        tasks = [rollout.row.task_index for rollout in batch]
        self.add(
            [NO_TASK if task is None else task for task in tasks],
            [int(rollout.prompt_id, 16) for rollout in batch],
            [file << FILE_BITS | rollout.offset for rollout in batch],
            [len(rollout.line) for rollout in batch],
        )

    def _by_task(self) -> Iterator[Rows]:
        """The rows that have a task index. Those without are set aside, by the place of their group's first row."""
        import numpy as np

        carried, first = -1, 0
        for block in self._rows.blocks():
            none = block["task"] == NO_TASK
            yield block[~none]
            rows = block[none].copy()
            for start, end, prompt in _runs(rows["prompt"]):
                # The group goes on from the block before, and its first row stands there.
                first = first if prompt == carried else int(np.min(rows["place"][start:end]))
                rows["task"][start:end], carried = first, prompt
            self._later.add(rows)

    def _read(self, place: int, length: int, ids: PromptIds) -> Rollout:
        file, offset = place >> FILE_BITS, place & (1 << FILE_BITS) - 1
        path = self._files[file]
        line = os.pread(self._open[file], length, offset)
        try:
            rollout = make_rollout(decode_row(line, line.isascii()), path, offset, line, ids)
        except BrokenLine:
            rollout = "broken"
        if isinstance(rollout, str) or len(line) != length:
            raise InputError(f"{path}: changed while it was read (byte {offset}): run again")
        return rollout

    def _check_unchanged(self) -> None:
        for path, descriptor in zip(self._files, self._open, strict=True):
            if is_compressed(path):
                continue
            now = path.stat() if path.exists() else None
            if now is None or not os.path.samestat(now, os.fstat(descriptor)):
                raise InputError(f"{path}: was replaced while it was read: run again")


def _groups(blocks: Iterator[Rows]) -> Iterator[Places]:
    """The places of each group; one that goes on in the next block is put together."""
    key: tuple[int, int] | None = None
    rows: list[tuple[int, int]] = []
    for block in blocks:
        parts = (block[name].tolist() for name in ("task", "prompt", "place", "length"))
        for task, prompt, place, length in zip(*parts, strict=True):
            if (task, prompt) != key:
                if key is not None:
                    yield _unzipped(key, rows)
                key, rows = (task, prompt), []
            rows.append((place, length))
    if key is not None:
        yield _unzipped(key, rows)


def _unzipped(key: tuple[int, int], rows: list[tuple[int, int]]) -> Places:
    rows.sort()  # a group over two blocks may have come in two orders
    return Places(*key, [place for place, _ in rows], [length for _, length in rows])


def _runs(values: object) -> Iterator[tuple[int, int, int]]:
    """(start, end, value) of each run of equal values."""
    import numpy as np

    array = np.asarray(values)
    if not len(array):
        return
    starts = [0, *(np.flatnonzero(array[1:] != array[:-1]) + 1).tolist()]
    for start, end in zip(starts, [*starts[1:], len(array)], strict=True):
        yield start, end, int(array[start])
