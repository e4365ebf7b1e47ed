"""Where each rollout's line stands, sorted by group: the first of two passes over files in no order.

36 bytes a row while sorting: task, prompt id, place, length, and the sorted order. The second pass reads each line
again where it stands (`pread`), from the very file that was indexed, even when its name has come to mean another.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from collector.errors import InputError
from pairing.identity import PromptIds
from pairing.reading import make_rollout
from pairing.rollouts import BrokenLine, Rollout, decode_row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["OffsetIndex"]

_NO_TASK = 2**63 - 1
_OFFSET_BITS = 48


class OffsetIndex:
    """Places of rollouts, given back group by group: by task index, then, for rows without one, by first appearance.

    Use as a context manager: it holds the files open. Raises InputError when a file cannot be opened, or when it was
    replaced or cut between the two passes.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = list(files)
        self._numbers = {path: number for number, path in enumerate(self._files)}
        self._tasks, self._prompts = array("q"), array("Q")
        self._places, self._lengths = array("Q"), array("L")
        self._open: list[int] = []
        self._closing = ExitStack()

    def __enter__(self) -> OffsetIndex:
        for path in self._files:
            try:
                descriptor = os.open(path, os.O_RDONLY)
            except OSError as error:
                self._closing.close()
                raise InputError(f"{path}: cannot be read: {error.strerror}") from None
            self._open.append(descriptor)
            self._closing.callback(os.close, descriptor)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._closing.close()

    def add(self, rollout: Rollout) -> None:
        """Note where `rollout` stands; rollouts come in reading order."""
        task = rollout.row.task_index
        self._tasks.append(_NO_TASK if task is None else task)
        self._prompts.append(int(rollout.prompt_id, 16))
        self._places.append(self._numbers[rollout.path] << _OFFSET_BITS | rollout.offset)
        self._lengths.append(len(rollout.line))

    def groups(self) -> Iterator[NDArray[np.int64]]:
        """For each group the numbers of its rows, in reading order."""
        import numpy as np  # here, because only files in no order need it, and it takes a tenth of a second

        self._check_unchanged()
        tasks, prompts = np.frombuffer(self._tasks, np.int64), np.frombuffer(self._prompts, np.uint64)
        order = np.lexsort((prompts, tasks))  # stable: rows of a group stay in reading order
        if not order.size:
            return
        tasks, prompts = tasks[order], prompts[order]
        starts = np.flatnonzero(np.r_[True, (tasks[1:] != tasks[:-1]) | (prompts[1:] != prompts[:-1])])
        ends = np.r_[starts[1:], order.size]
        # Groups with a task index stand in place; the others go by the number of their first row.
        ranks = np.where(tasks[starts] == _NO_TASK, order[starts], -1)
        for number in np.argsort(ranks, kind="stable"):
            yield order[starts[number] : ends[number]]

    def read(self, rows: NDArray[np.int64], ids: PromptIds) -> Iterator[Rollout]:
        """The rollouts of these rows, read again from their files."""
        for row in rows.tolist():
            file, offset = self._places[row] >> _OFFSET_BITS, self._places[row] & (1 << _OFFSET_BITS) - 1
            yield self._read(file, offset, self._lengths[row], ids)

    def _read(self, file: int, offset: int, length: int, ids: PromptIds) -> Rollout:
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
            now = path.stat() if path.exists() else None
            if now is None or not os.path.samestat(now, os.fstat(descriptor)):
                raise InputError(f"{path}: was replaced while it was read: run again")
