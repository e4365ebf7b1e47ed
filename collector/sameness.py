"""Finds samples that should differ and do not: a server that ignores the seed gives no pairs, and no error either."""

from __future__ import annotations

from collections.abc import Sequence

from collector.observer import Observer
from collector.records.rows import Task

__all__ = ["IDENTICAL", "SeenTexts"]

IDENTICAL = "identical"
"""The flag of a rollout whose text equals that of an earlier one of its prompt, in this run."""

_JUDGED_AFTER = 50
"""Finished prompts after which a word is said, once, about a run whose samples are nearly all alike."""
_ENOUGH = 10
"""Finished prompts that say something when a run has no more."""
_NEARLY_ALL = 0.9


class _Group:
    """One row's replies. `complete`: no further task of it will begin."""

    __slots__ = ("complete", "index", "open", "repeats", "replies", "texts")

    def __init__(self, index: int) -> None:
        self.index = index
        self.open = 0
        self.replies = 0
        self.repeats = 0
        self.complete = False
        self.texts: set[int] = set()


class SeenTexts:
    """The texts of the prompts in progress, as hashes: memory does not grow with the run.

    Repeats of a row have distinct seeds, or none at all, and are then drawn at random: either way they should differ.
    """

    def __init__(self, observer: Observer, *, in_turn: bool = True) -> None:
        """`in_turn`: rows begin one after another, all tasks of one before those of the next. Else `complete` tells
        which row has had its last."""
        self._observer = observer
        self._in_turn = in_turn
        self._groups: dict[int, _Group] = {}
        self._latest: _Group | None = None
        self._finished = 0
        self._alike = 0
        self._told = False

    def begin(self, tasks: Sequence[Task]) -> None:
        """Tasks of one row begin."""
        index = tasks[0].row.task_index
        group = self._groups.get(index)
        if group is None:
            if self._in_turn:
                self._complete(self._latest)
            group = self._groups[index] = self._latest = _Group(index)
        group.open += len(tasks)

    def is_repeat(self, task: Task, text: str) -> bool:
        """Whether the task's prompt has had this text before. No text at all is no repeat: another flag names it."""
        group = self._groups[task.row.task_index]
        group.replies += 1
        if not text:
            return False
        digest = hash(text)
        if digest in group.texts:
            group.repeats += 1
            return True
        group.texts.add(digest)
        return False

    def end(self, task: Task) -> None:
        """A task is over: its reply was looked at, or it failed."""
        group = self._groups[task.row.task_index]
        group.open -= 1
        if group.complete and not group.open:
            self._finish(group)

    def complete(self, index: int) -> None:
        """No further task of the row of that index will begin."""
        self._complete(self._groups.get(index))

    def close(self) -> None:
        """No task will begin any more."""
        for group in list(self._groups.values()):
            self._complete(group)
        if self._finished >= _ENOUGH:
            self._tell()

    def _complete(self, group: _Group | None) -> None:
        if group is not None and not group.complete:
            group.complete = True
            if not group.open:
                self._finish(group)

    def _finish(self, group: _Group) -> None:
        del self._groups[group.index]
        if group.replies < 2 or self._told:
            return
        self._finished += 1
        self._alike += group.repeats == group.replies - 1
        if self._finished == _JUDGED_AFTER:
            self._tell()

    def _tell(self) -> None:
        if not self._told and self._alike >= _NEARLY_ALL * self._finished:
            self._observer.note(
                f"the samples of {self._alike} of the first {self._finished} prompts are identical:"
                " the server seems to ignore the seed, or the temperature is 0"
            )
        self._told = True
