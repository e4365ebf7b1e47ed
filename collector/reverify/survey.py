"""Reads the sources once, before anything is scored: how many rollouts of how many prompts, and can they be scored?

Memory is two bytes a prompt.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import orjson

from collector.errors import InputError
from collector.journal import Line
from collector.journal.keys import TASKS_PER_PAGE
from collector.records.rows import JsonObject, PromptRow
from collector.reverify.identities import Identities, Indices, read_indices
from collector.reverify.origin import Origin
from collector.reverify.rebuild import prompt_id_in, rebuild_task
from collector.reverify.sources import Sources, strict

__all__ = ["Found", "Survey", "load_row", "rows_in", "take_survey"]

Problem = Callable[[PromptRow], str | None]


class Found(NamedTuple):
    """One rollout of the sources: its line, its bytes as strict JSON, its key, and whether its indices are ours."""

    line: Line
    raw: bytes
    key: tuple[int, int]
    numbered: bool


@dataclass(slots=True)
class Survey:
    """What the sources hold: `rows` rollouts of `prompts` prompts. `num_repeats` is the most of any prompt, `repeats`
    gives a task's own."""

    rows: int
    prompts: int
    num_repeats: int
    counts: Counts

    @property
    def repeats_of(self) -> Callable[[int], int] | None:
        """For the seal, where prompts differ in it; a group that has fewer is incomplete."""
        return None if self.counts.uniform else self.counts.of


class Counts:
    """How many rollouts each task has, at two bytes a task, wherever its index lies."""

    def __init__(self) -> None:
        self.tasks = 0
        self.most = 0
        self._least = 0
        self._pages: dict[int, array[int]] = {}

    @property
    def uniform(self) -> bool:
        return all(count in (0, self.most) for page in self._pages.values() for count in page)

    def raise_to(self, task: int, count: int) -> bool:
        """True when the task is new."""
        number, place = divmod(task, TASKS_PER_PAGE)
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = array("H", bytes(2 * TASKS_PER_PAGE))
        new = page[place] == 0
        self.tasks += new
        page[place] = max(page[place], count)
        self.most = max(self.most, count)
        return new

    def of(self, task: int) -> int:
        page = self._pages.get(task // TASKS_PER_PAGE)
        return (page[task % TASKS_PER_PAGE] if page else 0) or self.most


def rows_in(sources: Sources, limit: int | None) -> Iterator[Found]:
    """The rollouts of the sources in file order, those of incomplete groups last; of the first `limit` tasks alone.

    Raises InputError, naming file and line, at a line that is no row.
    """
    identities = Identities()
    for snapshot in sources.rollouts:
        for line in snapshot.lines():
            raw = strict(line)
            where = f"{line.path}:{line.number}"
            key = identities.of(_indices(raw, where), where, lambda raw=raw, line=line: _prompt_id(raw, line))  # type: ignore[misc]
            if limit is None or key[0] < limit:
                yield Found(line, raw, key, not identities.by_appearance)


def take_survey(sources: Sources, origin: Origin, limit: int | None, problem_in: Problem) -> Survey:
    """Counts the rollouts, and looks at the first of each prompt: a row that no reply could be scored for stops the
    run before it begins. Raises InputError, also when there is no row at all."""
    counts = Counts()
    rows = 0
    for found in rows_in(sources, limit):
        rows += 1
        task, rollout = found.key
        if counts.raise_to(task, rollout + 1):
            row = rebuild_task(load_row(found.raw, found.line), found.key, found.line.number).row
            counts.raise_to(task, origin.repeats_of(row))
            problem = problem_in(row)
            if problem:
                raise InputError(f"{found.line.path}:{found.line.number}: {problem}")
    if rows == 0:
        raise InputError(f"{sources.paths.rollouts}: no rollouts: give a file that `pairmill collect` wrote (--input)")
    return Survey(rows, counts.tasks, counts.most, counts)


def load_row(raw: bytes, line: Line) -> JsonObject:
    """The row of one line. Raises InputError for nesting that no row can have."""
    try:
        row: Any = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{line.path}:{line.number}: cannot be read: {error.msg} (byte {line.offset})") from None
    assert isinstance(row, dict)  # noqa: S101 - its indices were read from it
    return row


def _indices(raw: bytes, where: str) -> Indices:
    try:
        return read_indices(raw)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: is no rollout: {error}") from None


def _prompt_id(raw: bytes, line: Line) -> str:
    return prompt_id_in(load_row(raw, line))
