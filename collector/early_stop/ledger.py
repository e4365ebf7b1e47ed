"""How far each prompt of a run is: some 30 bytes a prompt, whatever its number of samples. Read back from the rows on
disk, so that a run which goes on decides as if it had never ended."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable

import msgspec

from collector.early_stop.rule import STOPS, Standing, Stop
from collector.errors import StreamError
from collector.journal import Line
from collector.journal.keys import KeySet

__all__ = ["Ledger"]

_INF = float("inf")


class _Row(msgspec.Struct, gc=False):
    task_index: int = msgspec.field(name="_ng_task_index")
    rollout_index: int = msgspec.field(name="_ng_rollout_index")
    reward: float
    flags: tuple[str, ...] = ()


_decode = msgspec.json.Decoder(_Row).decode


class Ledger:
    """Of `prompts` prompts with at most `most` samples each, by task index: the samples `asked` for as far as is known,
    the `rows` with a reward, and why it stopped. One event loop's."""

    def __init__(self, prompts: int, most: int) -> None:
        self.prompts = prompts
        self.most = most
        self._asked = array("H", bytes(2 * prompts))
        self._rows = array("H", bytes(2 * prompts))
        self._stop = array("B", bytes(prompts))
        self._best, self._worst, self._top = (array("d", (limit,)) * prompts for limit in (-_INF, _INF, -_INF))

    def read(self, lines: Iterable[Line]) -> None:
        """Takes in the rows of earlier runs, in any order; of one that comes twice the first. Raises StreamError for a
        row without a reward, which no such run wrote."""
        seen = KeySet(self.most)
        for line in lines:
            try:
                row = _decode(line.raw)
                new = seen.add(row.task_index, row.rollout_index)
            except ValueError as error:
                raise StreamError(f"{line.path}:{line.number}: {error}; start anew with --overwrite") from None
            if new and row.task_index < self.prompts:
                self.add(row.task_index, row.rollout_index, row.reward, row.flags)

    def add(self, task: int, repeat: int, reward: float, flags: Collection[str]) -> None:
        """A rollout of a task has its reward."""
        standing = self.standing(task)
        standing.note(reward, flags)
        self._asked[task] = max(self._asked[task], repeat + 1)
        self._rows[task] = standing.rows
        self._best[task], self._worst[task], self._top[task] = standing.best, standing.worst, standing.top

    def standing(self, task: int) -> Standing:
        """What its rewards come to; `count` is not kept."""
        standing = Standing()
        standing.rows = self._rows[task]
        standing.best, standing.worst, standing.top = self._best[task], self._worst[task], self._top[task]
        return standing

    def asked(self, task: int) -> int:
        """How many samples were asked for: where it has stopped exactly, else those up to the last that is there."""
        return self._asked[task]

    def rows(self, task: int) -> int:
        return self._rows[task]

    def close(self, task: int, size: int, stop: Stop) -> None:
        """The task has stopped, after `size` samples."""
        self._asked[task] = size
        self._stop[task] = 1 + STOPS.index(stop)

    def stopped(self, task: int) -> Stop | None:
        """Why a task has stopped; None when it has not, or is not known."""
        number = self._stop[task] if task < self.prompts else 0
        return STOPS[number - 1] if number else None

    def size_of(self, task: int) -> int:
        """How many samples make its group whole: what it stopped at, else the most that it may have."""
        return self._asked[task] if self.stopped(task) else self.most
