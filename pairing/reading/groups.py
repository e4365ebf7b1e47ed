"""Rollouts -> groups of one prompt, by identity, never by position.

Two readers give the same groups in the same order. `groups_in_order` reads once and emits a group when it closes, with
only the open group in memory; it needs rows that come by ascending task index, as in a sealed file, and raises
NotInOrder at the first that does not. `groups_by_index` takes rows in any order: it reads twice, see `offsets`.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from pairing.reading.files import ReadTally, input_files, iter_rollouts
from pairing.reading.identity import PromptIds
from pairing.reading.offsets import DEFAULT_MEMORY, OffsetIndex
from pairing.reading.rollouts import Rollout

__all__ = [
    "Group",
    "NotInOrder",
    "assemble",
    "closed_groups",
    "groups_by_index",
    "groups_in_order",
    "iter_groups",
    "split_task",
]


class Group(msgspec.Struct, frozen=True, gc=False, eq=False):
    """All rollouts of one prompt: by rollout index, at most one for each. `duplicates` counts those that gave way to
    a later attempt at the same rollout. `task_index` is None for rows that carry none."""

    task_index: int | None
    prompt_id: str
    rollouts: tuple[Rollout, ...]
    duplicates: int


class NotInOrder(Exception):  # noqa: N818 - a fact about the input, not an error of anyone's
    """A row without task index, or with a lower one than the row before: the input needs two passes."""


def iter_groups(inputs: Sequence[Path | str] | Path | str, *, include_incomplete: bool = True) -> Iterator[Group]:
    """Groups of one or several rollouts files, by task index, then (rows without one) by first appearance.

    Lines may stand in any order and be split over the files in any way. Lines that are no rollouts are passed over;
    `build_pairs` reports them. Raises UsageError without inputs, InputError for a file that cannot be read.
    """
    given = [inputs] if isinstance(inputs, Path | str) else inputs
    files = input_files(given, include_incomplete=include_incomplete)
    return groups_by_index(files, ReadTally())


def groups_in_order(files: Sequence[Path], tally: ReadTally) -> Iterator[Group]:
    """Groups in one pass over files that are each in task order; a group split over them is put together.

    Raises NotInOrder where they are not: what was emitted until then is not to be used.
    """
    ids = PromptIds()
    streams = [iter_rollouts(path, tally, ids) for path in files]
    if len(streams) == 1:
        return closed_groups(streams[0])
    return closed_groups([rollout] for rollout in heapq.merge(*map(_ascending, streams), key=_task_of))


def closed_groups(batches: Iterable[list[Rollout]]) -> Iterator[Group]:
    """The groups of rollouts that come by ascending task index, each when its last row is past. Raises NotInOrder."""
    members: list[Rollout] = []
    task = 0
    for batch in batches:
        for rollout in batch:
            now = rollout.row.task_index
            if now != task:
                if now is None or now < task:
                    raise NotInOrder
                if members:
                    yield from split_task(members)
                    members = []
                task = now
            members.append(rollout)
    if members:
        yield from split_task(members)


def groups_by_index(files: Sequence[Path], tally: ReadTally, memory: int = DEFAULT_MEMORY) -> Iterator[Group]:
    """Groups of files in any order, in two passes; memory holds 28 bytes a row, up to `memory` bytes of them (beyond,
    they go to disk), and the group at hand."""
    ids = PromptIds()
    with OffsetIndex(files, memory) as index:
        index.fill(tally, ids)
        for places in index.groups():
            yield from split_task(index.read(places, ids))


def assemble(task_index: int | None, prompt_id: str, members: Iterable[Rollout]) -> Group:
    """The group of `members`, which come in reading order. Where two have the same rollout index the last complete
    one stands. Members without an index take the free ones, in order of appearance."""
    numbered: dict[int, Rollout] = {}
    unnumbered: list[Rollout] = []
    duplicates = 0
    for rollout in members:
        if rollout.rollout_index is None:
            unnumbered.append(rollout)
            continue
        earlier = numbered.get(rollout.rollout_index)
        duplicates += earlier is not None
        if earlier is None or rollout.complete or not earlier.complete:
            numbered[rollout.rollout_index] = rollout
    free = 0
    for rollout in unnumbered:
        while free in numbered:
            free += 1
        rollout.rollout_index = free
        numbered[free] = rollout
    return Group(task_index, prompt_id, tuple(numbered[index] for index in sorted(numbered)), duplicates)


def _ascending(batches: Iterable[list[Rollout]]) -> Iterator[Rollout]:
    last = 0
    for batch in batches:
        for rollout in batch:
            task = rollout.row.task_index
            if task is None or task < last:
                raise NotInOrder
            last = task
            yield rollout


def _task_of(rollout: Rollout) -> int:
    task = rollout.row.task_index
    return -1 if task is None else task


def split_task(members: list[Rollout]) -> Sequence[Group]:
    """The groups of one task: one, unless its rows answer different prompts."""
    first = members[0]
    prompt_id, task_index = first.prompt_id, first.row.task_index
    for index, rollout in enumerate(members):
        if rollout.rollout_index != index or rollout.prompt_id != prompt_id:
            break
    else:
        return (Group(task_index, prompt_id, tuple(members), 0),)  # as a sealed file has them
    by_prompt: dict[str, list[Rollout]] = {}
    for rollout in members:
        by_prompt.setdefault(rollout.prompt_id, []).append(rollout)
    return [assemble(task_index, prompt_id, mine) for prompt_id, mine in sorted(by_prompt.items())]
