"""The fast lane's reading: runs of rows that are just what the collector writes, each decoded once, by its types alone.

A row is plain when it decodes as a PlainRow; `begins` is asked of the first of a run, and what is left to ask of the
others `pairing.fast_lane` asks of the whole run. Every other line takes the way that all lines can take
(`files.LineReader`), and the run that it falls in with it: this lane has no rule of its own for broken lines, rewards
or prompts, and what it does not recognise it hands on.
"""

from __future__ import annotations

import heapq
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Literal, cast

import msgspec
from msgspec import Raw

from pairing.reading.compression import opened
from pairing.reading.files import LineReader, ReadTally
from pairing.reading.groups import NotInOrder
from pairing.reading.identity import PromptIds, is_ours
from pairing.reading.lines import LINES
from pairing.reading.rollouts import IN_THE_FILE, SHORT, Index, Rollout

__all__ = ["PlainRow", "Run", "Trust", "begins", "plain_row", "plain_runs", "runs_in_order"]

_PATIENCE = 64


class PlainParams(msgspec.Struct, gc=False):
    """A request of messages alone."""

    input: Raw
    temperature: float | None = None
    instructions: None = None
    tools: None = None


class PlainResponse(msgspec.Struct, gc=False):
    """A `response` that says of itself that nothing went wrong, or says nothing."""

    status: Literal["completed"] | None = None
    error: None = None
    incomplete_details: None = None


class PlainRow(
    msgspec.Struct,
    gc=False,
    rename=IN_THE_FILE,
):
    """A row with both indices, an id, a finite reward, an answer of our own, no tools, and no word of a failure."""

    task_index: Index
    rollout_index: Index
    prompt_id: str
    reward: float
    output: Raw
    params: PlainParams
    finish_reason: str | None = None
    response: PlainResponse | None = None
    failure_class: None = None
    tools: None = None


class Run(msgspec.Struct, gc=False, eq=False):
    """The rows of one task that stand together. `rows` are plain, in reading order; empty when a row among them is not
    plain. `members` makes rollouts of them all, the general way; to be called once at most."""

    task_index: int
    rows: list[PlainRow]
    members: Callable[[], list[Rollout]]


class Trust:
    """Whether plain rows are worth looking for: no longer once so many runs in a row were none."""

    def __init__(self, lost: bool = False) -> None:
        self.lost, self._missed = lost, 0

    def tell(self, plain: bool) -> None:
        """Whether the next run turned out plain."""
        self._missed = 0 if plain else self._missed + 1
        self.lost = self.lost or self._missed >= _PATIENCE


_decode = msgspec.json.Decoder(PlainRow).decode


def plain_row(line: bytes) -> PlainRow:
    """The row of a line. Raises ValueError or RecursionError when it is not plain."""
    if not line.isascii():
        str(line, "utf-8")  # fields that are only passed over are not decoded: nothing else looks at their bytes
    return _decode(line)


def begins(row: PlainRow) -> bool:
    """True when the row is a rollout for certain: it has an answer, an id of ours and a prompt. Nothing less may end
    the run before it."""
    return len(row.output) >= SHORT and len(row.params.input) >= SHORT and is_ours(row.prompt_id)


def runs_in_order(files: Sequence[Path], tally: ReadTally, trust: Trust) -> Iterator[Run]:
    """The runs of files that are each in task order, in that order; a task whose rows are split over several files is
    one run. Raises NotInOrder where they are not, InputError when one cannot be read."""
    ids = PromptIds()
    streams = [_runs_of(path, LineReader(path, tally, ids), trust) for path in files]
    return streams[0] if len(streams) == 1 else _merged(heapq.merge(*streams, key=_task_of))


def plain_runs(file: Iterable[bytes], reader: LineReader, trust: Trust) -> Iterator[Run]:
    """The runs of these lines; `reader` takes what is not plain. Raises NotInOrder at the first task index that is
    missing or lower than the one before. Kept flat: the loop costs for every row."""
    rows: list[PlainRow] = []
    lines: list[bytes] = []
    others: list[Rollout] = []  # the run at hand, in place of rows and lines, once a row of it is not plain
    task = 0
    for line in file:
        try:
            row = None if trust.lost else plain_row(line)
        except (ValueError, RecursionError):
            row = None
        if row is not None and row.task_index == task and rows:
            rows.append(row)
            lines.append(line)
        elif row is not None and not (others and row.task_index == task) and begins(row):
            if rows or others:
                yield _run(task, rows, lines, others, reader)
            task = _next_task(task, row.task_index)
            rows, lines, others = [row], [line], []
        else:
            if rows:  # they stand before this line, and what is wrong with them is to be told before
                others, rows = reader.rollouts(lines), []
            rollout = reader.rollout(line)
            if rollout is None:
                continue
            if rollout.row.task_index != task and others:
                yield _run(task, rows, lines, others, reader)
                others = []
            task = _next_task(task, rollout.row.task_index)
            others.append(rollout)
    if rows or others:
        yield _run(task, rows, lines, others, reader)


def _run(task: int, rows: list[PlainRow], lines: list[bytes], others: list[Rollout], reader: LineReader) -> Run:
    """The run that ends here."""
    return Run(task, rows, reader.later(lines) if rows else lambda: others)


def _next_task(task: int, now: int | None) -> int:
    if now is None or now < task:
        raise NotInOrder
    return now


def _runs_of(path: Path, reader: LineReader, trust: Trust) -> Iterator[Run]:
    with opened(path) as file, io.BufferedReader(cast(io.RawIOBase, file), LINES) as lines:
        yield from plain_runs(lines, reader, trust)


def _merged(runs: Iterable[Run]) -> Iterator[Run]:
    for task, same in groupby(runs, key=_task_of):
        parts = list(same)
        yield parts[0] if len(parts) == 1 else Run(task, [], partial(_all_members, parts))


def _all_members(runs: Iterable[Run]) -> list[Rollout]:
    return [rollout for run in runs for rollout in run.members()]


def _task_of(run: Run) -> int:
    return run.task_index
