"""The fast lane's reading of files in no order: places noted by the heads of lines, rows decoded when they are paired.

The collector begins every row with its indices and its prompt id, and that is all that the first pass needs. It takes
the head's word for the rest of the line; the second pass reads all of it. Where a line then turns out to be broken, no
rollout, or another prompt's than its head said, HeadsMislead ends the work: the general way is to begin anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path

from collector.errors import InputError
from pairing.reading.files import LineReader, ReadTally
from pairing.reading.identity import PromptIds
from pairing.reading.offsets import FILE_BITS, NO_TASK, OffsetIndex, Places
from pairing.reading.plain_rows import PlainRow, Run, begins, plain_row
from pairing.reading.rollouts import Rollout

__all__ = ["HeadsMislead", "runs_by_heads"]

_head = re.compile(rb'\{"_ng_task_index":(\d{1,18}),"_ng_rollout_index":\d{1,18},"prompt_id":"([0-9a-f]{16})","').match
_BATCH = 4096
_ROLLOUT_INDEX = attrgetter("rollout_index")


class HeadsMislead(Exception):  # noqa: N818 - a fact about the input, not an error of anyone's
    """A line is not what its head says, or a file changed: its rows are to be read before they are noted."""


def runs_by_heads(files: Sequence[Path], tally: ReadTally, memory: int) -> Iterator[Run]:
    """The runs of files in any order, those of one prompt each, as `groups.groups_by_index` has them. Raises
    HeadsMislead, InputError when a file cannot be read."""
    ids = PromptIds()
    with OffsetIndex(files, memory) as index:
        for number, path, lines in index.sources():
            _note(index, lines, number << FILE_BITS, LineReader(path, tally, ids))
        for places in index.groups():
            yield _run(index, places, ids)


def _note(index: OffsetIndex, lines: Iterable[bytes], place: int, reader: LineReader) -> None:
    """Puts the places of a file's rows into the index. Kept flat: the loop costs for every row."""
    rows: tuple[list[int], ...] = ([], [], [], [])
    tasks, prompts, starts, lengths = rows
    base, passed = place, place
    count = 0
    for line in lines:
        size = len(line)
        head = _head(line)
        if head is not None and line.endswith(b"}\n"):
            tasks.append(int(head[1]))
            prompts.append(int(head[2], 16))
            starts.append(place)
            lengths.append(size - 1)
            count += 1
        else:
            reader.skip(count, place - passed)
            passed, count = place + size, 0
            _note_rollout(rows, base, reader.rollout(line))
        place += size
        if len(tasks) >= _BATCH:
            index.add(*rows)
            for column in rows:
                column.clear()
    reader.skip(count, place - passed)
    index.add(*rows)


def _note_rollout(rows: tuple[list[int], ...], base: int, rollout: Rollout | None) -> None:
    if rollout is None:
        return
    task = rollout.row.task_index
    place = base + rollout.offset
    found = (NO_TASK if task is None else task, int(rollout.prompt_id, 16), place, len(rollout.line))
    for column, value in zip(rows, found, strict=True):
        column.append(value)


def _run(index: OffsetIndex, places: Places, ids: PromptIds) -> Run:
    """The group that stands there, its plain rows by rollout index."""
    task = -1 if places.task_index is None else places.task_index
    return Run(task, _plain(index, places), partial(_members, index, places, ids))


def _plain(index: OffsetIndex, places: Places) -> list[PlainRow]:
    try:
        rows = [plain_row(line) for line in index.lines(places)]
    except (ValueError, RecursionError):
        return []
    for row in rows:
        if row.task_index != places.task_index:
            return []
    if not begins(rows[0]) or int(rows[0].prompt_id, 16) != places.prompt:
        return []
    rows.sort(key=_ROLLOUT_INDEX)
    return rows


def _members(index: OffsetIndex, places: Places, ids: PromptIds) -> list[Rollout]:
    try:
        found = index.read(places, ids)
    except InputError:
        raise HeadsMislead from None
    for rollout in found:
        if rollout.row.task_index != places.task_index or int(rollout.prompt_id, 16) != places.prompt:
            raise HeadsMislead
    return found
