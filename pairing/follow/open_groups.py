"""Rows of a live rollouts file -> the tasks whose rollouts are all there, each in the moment its last row comes.

Rows come in the order of completion. What an open task holds is its rows' bytes, up to a limit; of the oldest beyond
it, places alone, and the rows are read again when the task closes. So tasks that never close cost some bytes a row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from collector.journal.keys import KeySet
from pairing.follow.tail import Tail
from pairing.reading.files import make_rollout
from pairing.reading.identity import PromptIds
from pairing.reading.rollouts import BrokenLine, Rollout, decode_row

__all__ = ["HELD", "IsWhole", "OpenGroups"]

IsWhole = Callable[[Sequence[bytes | memoryview]], bool]
"""Whether the rows of a task, as they stand in the file, are all that it will have."""

HELD = 16 * 2**20
_Place = tuple[int, int]


@dataclass(slots=True)
class _Task:
    """The rows of a task in the order they came: a rollout, or where its line stands (offset, length)."""

    rows: list[Rollout | _Place] = field(default_factory=list)
    held: int = 0
    """Bytes of the rollouts."""


class OpenGroups:
    """`num_repeats` rollouts make a task whole; where `is_whole` is given it is asked too, about tasks with fewer."""

    def __init__(self, tail: Tail, num_repeats: int, is_whole: IsWhole | None = None, held: int = HELD) -> None:
        self._tail, self._num_repeats, self._is_whole, self._limit = tail, num_repeats, is_whole, held
        self._tasks: dict[int, _Task] = {}
        self._held: dict[int, None] = {}
        """Tasks that hold bytes, the oldest first."""
        self._bytes = 0
        self._seen = KeySet(num_repeats)
        self._ids = PromptIds()
        self.rows = 0
        """Rows read, those that are no rollouts apart."""
        self.closed_rows = self.closed_bytes = self.closed = 0
        """Of the tasks that closed: rows, their bytes with newlines, tasks."""
        self.odd: str | None = None
        """The first thing that a live file of the collector does not hold: a broken line, a row that came twice. What
        comes of such a file is only known at the end."""

    @property
    def held(self) -> int:
        """Bytes of rows in memory."""
        return self._bytes

    def read(self) -> Iterator[list[Rollout]]:
        """The rollouts of each task that closes with what has come since, by rollout index."""
        for offset, chunk in self._tail.chunks():
            start = 0
            while start < len(chunk):
                end = chunk.index(b"\n", start)
                members = self._add(chunk[start:end], offset + start)
                start = end + 1
                if members:
                    yield members

    def _add(self, line: bytes, offset: int) -> list[Rollout] | None:
        """The task of this row when it closes it."""
        if line.isspace() or not line:
            self.odd = self.odd or "a blank line"
            return None
        try:
            rollout = make_rollout(decode_row(line, line.isascii()), self._tail.path, offset, line, self._ids)
        except BrokenLine as error:
            rollout = str(error)
        if isinstance(rollout, str):
            self.odd = self.odd or f"byte {offset}: {rollout}"
            return None
        task, repeat = rollout.row.task_index, rollout.row.rollout_index
        if task is None or repeat is None or repeat >= self._num_repeats or not self._seen.add(task, repeat):
            self.odd = self.odd or f"byte {offset}: rollout {repeat} of task {task}"
            return None
        self.rows += 1
        found = self._tasks.setdefault(task, _Task())
        found.rows.append(rollout)
        if self._closes(found):
            return self._close(task)
        self._hold(task, found, len(line))
        return None

    def _closes(self, task: _Task) -> bool:
        if len(task.rows) == self._num_repeats:
            return True
        return self._is_whole is not None and self._is_whole([self._line(row) for row in task.rows])

    def _close(self, number: int) -> list[Rollout]:
        task = self._tasks.pop(number)
        self._held.pop(number, None)
        self._bytes -= task.held
        try:
            rollouts = [row if isinstance(row, Rollout) else self._again(*row) for row in task.rows]
        except BrokenLine as error:  # the file was changed behind us
            self.odd = self.odd or str(error)
            return []
        self.closed += 1
        self.closed_rows += len(rollouts)
        self.closed_bytes += sum(len(rollout.line) + 1 for rollout in rollouts)
        return sorted(rollouts, key=_index_of)

    def _hold(self, number: int, task: _Task, size: int) -> None:
        task.held += size
        self._bytes += size
        self._held[number] = None
        while self._bytes > self._limit:
            oldest = next(iter(self._held))
            del self._held[oldest]
            shed = self._tasks[oldest]
            self._bytes -= shed.held
            shed.held = 0
            shed.rows = [(row.offset, len(row.line)) if isinstance(row, Rollout) else row for row in shed.rows]

    def _line(self, row: Rollout | _Place) -> bytes | memoryview:
        return row.line if isinstance(row, Rollout) else self._tail.read(*row)

    def _again(self, offset: int, length: int) -> Rollout:
        line = self._tail.read(offset, length)
        rollout = make_rollout(decode_row(line, line.isascii()), self._tail.path, offset, line, self._ids)
        if isinstance(rollout, str):
            raise BrokenLine(rollout)
        return rollout


def _index_of(rollout: Rollout) -> int:
    return rollout.rollout_index or 0
