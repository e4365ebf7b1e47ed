"""Groups by position, `--group-size N`: for files whose rows carry no identity at all, and checked all the same.

Each N rows of a file that stand one after another are the rollouts of one prompt, and must have the same one. A row
that cannot be read, or that is no rollout, takes its place too. Rows that say who they are go by what they say: a
single one among them is refused, as positions are only right where nothing was lost, sorted or written twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from collector.errors import InputError
from collector.journal.reader import raw_lines
from pairing.reading.compression import opened
from pairing.reading.files import ReadTally, make_rollout
from pairing.reading.groups import Group
from pairing.reading.identity import PromptIds
from pairing.reading.lines import trimmed
from pairing.reading.rollouts import BrokenLine, Rollout, Row, decode_row

__all__ = ["groups_by_position"]


class _Placed(NamedTuple):
    """A row: its line in the file, its prompt where it can be read, its rollout where it is one."""

    line: int
    prompt_id: str | None
    rollout: Rollout | None


def groups_by_position(files: Sequence[Path], size: int, tally: ReadTally) -> Iterator[Group]:
    """Groups of `size` rows each, in the order in which they stand. Raises InputError, naming file and line, for a row
    with an identity, a row of another prompt, and a last group that is short."""
    for path in files:
        block: list[_Placed] = []
        for placed in _rows(path, tally):
            block.append(placed)
            if len(block) == size:
                yield from _group(path, block)
                block = []
        if block:
            raise InputError(
                f"{path}:{block[0].line}: the last group has {len(block)} rows of {size}: give the --group-size"
                " that the file was made with"
            )


def _rows(path: Path, tally: ReadTally) -> Iterator[_Placed]:
    ids = PromptIds()
    with opened(path) as file:
        for number, (offset, raw) in enumerate(raw_lines(file.read), 1):
            tally.numbered += 1
            start, end = trimmed(raw, 0, len(raw), number == 1)
            if start < end:
                tally.lines += 1
                yield _placed(path, number, offset + start, raw[start:end], tally, ids)


def _placed(path: Path, number: int, offset: int, line: bytes, tally: ReadTally, ids: PromptIds) -> _Placed:
    try:
        row = decode_row(line, line.isascii())
        _check_nameless(path, number, row)
        made = make_rollout(row, path, offset, line, ids)
        if not isinstance(made, str):
            return _Placed(number, made.prompt_id, made)
        tally.drops[made] += 1
        return _Placed(number, ids.of(row), None)
    except (BrokenLine, RecursionError) as error:
        tally.add_broken(path, number, BrokenLine(str(error)))
        return _Placed(number, None, None)


def _check_nameless(path: Path, number: int, row: Row) -> None:
    for name, value in (
        ("_ng_task_index", row.task_index),
        ("_ng_rollout_index", row.rollout_index),
        ("prompt_id", row.prompt_id),
    ):
        if value is not None:
            raise InputError(
                f"{path}:{number}: carries {name}: its rows are grouped by that, and never by position: leave out"
                " --group-size"
            )


def _group(path: Path, block: list[_Placed]) -> Iterator[Group]:
    first = next((placed for placed in block if placed.prompt_id is not None), None)
    if first is None or first.prompt_id is None:
        return
    for placed in block:
        if placed.prompt_id not in (None, first.prompt_id):
            raise InputError(
                f"{path}:{placed.line}: has another prompt than line {first.line}, and {len(block)} rows that stand"
                " together must share one: give another --group-size, or leave it out to group by prompt"
            )
    members = []
    for position, placed in enumerate(block):
        if placed.rollout is not None:
            placed.rollout.rollout_index = position
            members.append(placed.rollout)
    if members:
        yield Group(None, first.prompt_id, tuple(members), 0)
