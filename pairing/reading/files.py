"""Rollouts files -> Rollouts, in file order, with every line that gives none counted under its reason.

Which rollouts belong together, and in what order groups come, is the business of `groups`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from collector.errors import InputError, UsageError
from pairing.reading.compression import SUFFIXES, opened, plain_name
from pairing.reading.identity import PromptIds
from pairing.reading.inputs import expanded
from pairing.reading.lines import Block, blocks_of_lines, trimmed
from pairing.reading.rollouts import SHORT, BrokenLine, Rollout, Row, decode_row, failed, has_answer, read_reward

__all__ = ["LineReader", "ReadTally", "input_files", "iter_rollouts", "make_rollout", "rollouts_of"]

_SHOWN = 5
_OPENING, _CLOSING = b"{}"
_LONG_REWARD = 32
_REWARDS_KEPT = 4096
_REWARDS: dict[bytes, tuple[float | None, str | None]] = {}
"""What short rewards are read as: most runs have a handful of them."""
_NO_PIPE = "no regular file; pairing may read twice: save what a pipe gives to a file first"


@dataclass(slots=True)
class ReadTally:
    """What became of the lines: `lines` = `broken` + the sum of `drops` + the rollouts that were read."""

    lines: int = 0
    broken: int = 0
    first_broken: list[tuple[Path, int, str]] = field(default_factory=list)
    """File, line number and what is wrong, of the first few broken lines."""
    drops: Counter[str] = field(default_factory=Counter)
    """`no_answer`: neither `output` nor `response.output`; `failed`: the same, marked as a failure; `no_prompt`."""
    numbered: int = 0
    """Lines that were passed, blank ones too."""

    @property
    def broken_shown(self) -> list[str]:
        """The first few broken lines, as `file:line: what is wrong`."""
        return [f"{path}:{number}: {problem}" for path, number, problem in self.first_broken]

    def add_broken(self, path: Path, number: int, error: BrokenLine) -> None:
        self.broken += 1
        if len(self.first_broken) < _SHOWN:
            self.first_broken.append((path, number, str(error)))

    def merge(self, later: ReadTally) -> None:
        """Add what became of the lines that follow in the same file."""
        shown = [(path, self.numbered + number, problem) for path, number, problem in later.first_broken]
        self.first_broken = (self.first_broken + shown)[:_SHOWN]
        self.drops.update(later.drops)
        self.lines += later.lines
        self.broken += later.broken
        self.numbered += later.numbered


def input_files(
    inputs: Sequence[Path | str], *, include_incomplete: bool = True, leave: Collection[Path] = ()
) -> list[Path]:
    """The files to read, each once. The file of incomplete groups beside an input goes in front of it: where both
    hold the same rollout the sealed file's is the later one, and wins. A pattern means none of `leave`.

    Raises UsageError without inputs, InputError for a path that is no readable file.
    """
    if not inputs:
        raise UsageError("--input: give at least one rollouts file")
    files: dict[Path, Path] = {}
    for given in expanded(inputs, leave):
        if not given.is_file():
            raise InputError(f"{given}: {_no_file(given)} (--input)")
        if include_incomplete and (beside := _beside(given)) is not None:
            files.setdefault(beside.resolve(), beside)
        files.setdefault(given.resolve(), given)
    return list(files.values())


def _beside(given: Path) -> Path | None:
    """The file of incomplete groups beside a rollouts file, compressed or not."""
    plain = plain_name(given)
    name = f"{plain.stem}_incomplete{plain.suffix}"
    found = [given.with_name(name + suffix) for suffix in (given.suffix if plain != given else "", "", *SUFFIXES)]
    return next((path for path in found if path.is_file()), None)


def _no_file(given: Path) -> str:
    if given.is_dir():
        return f"is a folder: give a file in it, such as {given / 'rollouts.jsonl'}"
    return _NO_PIPE if given.exists() else "no such file"


def iter_rollouts(path: Path, tally: ReadTally, ids: PromptIds) -> Iterator[list[Rollout]]:
    """Rollouts of one file in file order, a block's at a time. Memory holds one block, or the longest line. Raises
    InputError when the file cannot be read, or is compressed and broken."""
    with opened(path) as file:
        yield from rollouts_of(path, blocks_of_lines(file.read), tally, ids)


def rollouts_of(path: Path, blocks: Iterable[Block], tally: ReadTally, ids: PromptIds) -> Iterator[list[Rollout]]:
    """The rollouts of each of these blocks of `path`. Kept flat: what stands in the inner loop costs for every row."""
    number = numbered = 0
    for data, start, stop, offset in blocks:
        ascii_only, view, found = data.isascii(), memoryview(data), list[Rollout]()
        while start < stop:
            end = data.find(b"\n", start, stop)
            if end < 0:
                end = stop
            after = end + 1
            number += 1
            if data[start] != _OPENING or data[end - 1] != _CLOSING:
                start, end = trimmed(data, start, end, number == 1 and offset == 0)
            if start < end:
                tally.lines += 1
                line = view[start:end]
                try:
                    row = decode_row(line, ascii_only)
                    rollout = make_rollout(row, path, offset + start, line, ids)
                except BrokenLine as error:
                    tally.add_broken(path, number, error)
                else:
                    if isinstance(rollout, str):
                        tally.drops[rollout] += 1
                    else:
                        found.append(rollout)
            start = after
        tally.numbered += number - numbered
        numbered = number
        yield found


class LineReader:
    """The same line by line, for the fast lane: what it cannot take. It is told of every line, in file order; `offset`
    is where the first begins."""

    def __init__(self, path: Path, tally: ReadTally, ids: PromptIds, offset: int = 0) -> None:
        self._path, self._tally, self._ids = path, tally, ids
        self._offset, self._number = offset, 0

    def rollout(self, line: bytes) -> Rollout | None:
        """The rollout of the next line; None for a line that gives none, which is counted."""
        at, first = self._offset, self._offset == self._number == 0
        self._number += 1
        self._offset += len(line)
        self._tally.numbered += 1
        start, content = _content(line, first)
        if not content:
            return None
        self._tally.lines += 1
        return self._made(content, self._number, at + start)

    def rollouts(self, lines: Sequence[bytes]) -> list[Rollout]:
        """Those of the next lines."""
        return [rollout for line in lines if (rollout := self.rollout(line)) is not None]

    def skip(self, lines: int, size: int) -> None:
        """Passes the next lines, of `size` bytes, none of them blank."""
        self._number += lines
        self._offset += size
        self._tally.numbered += lines
        self._tally.lines += lines

    def later(self, lines: Sequence[bytes]) -> Callable[[], list[Rollout]]:
        """Passes the next lines, none of them blank; what is returned makes their rollouts when it is called."""
        later = partial(self._again, lines, self._number, self._offset)
        self.skip(len(lines), sum(map(len, lines)))
        return later

    def _again(self, lines: Sequence[bytes], number: int, offset: int) -> list[Rollout]:
        found = []
        for line in lines:
            number += 1
            start, content = _content(line, first=False)
            if (rollout := self._made(content, number, offset + start)) is not None:
                found.append(rollout)
            offset += len(line)
        return found

    def _made(self, content: bytes, number: int, offset: int) -> Rollout | None:
        try:
            made = make_rollout(decode_row(content, content.isascii()), self._path, offset, content, self._ids)
        except BrokenLine as error:
            self._tally.add_broken(self._path, number, error)
            return None
        if isinstance(made, str):
            self._tally.drops[made] += 1
            return None
        return made


def _content(line: bytes, first: bool) -> tuple[int, bytes]:
    """Where in it the content of a line begins, and the content."""
    end = len(line) - line.endswith(b"\n")
    start = 0
    if not end or line[0] != _OPENING or line[end - 1] != _CLOSING:
        start, end = trimmed(line, 0, end, first)
    return start, line[start:end]


def make_rollout(row: Row, path: Path, offset: int, line: bytes | memoryview, ids: PromptIds) -> Rollout | str:
    """The rollout of the row of `line`, which stands at `offset`, or the reason that it is none. Raises BrokenLine when
    the prompt cannot be read."""
    if len(row.output) < SHORT and not has_answer(row):
        return "failed" if failed(row) else "no_answer"
    params, prompt_id = row.params, row.prompt_id
    if prompt_id is None or prompt_id != ids.ours or params is None or len(params.input) < SHORT:
        try:
            prompt_id = ids.of(row)
        except RecursionError as error:
            raise BrokenLine(f"not JSON: {error}") from None
        if prompt_id is None:
            return "no_prompt"
    text = bytes(row.reward)
    reward = _REWARDS.get(text)
    if reward is None:
        reward = read_reward(row.reward)
        if len(text) < _LONG_REWARD and len(_REWARDS) < _REWARDS_KEPT:
            _REWARDS[text] = reward
    return Rollout(row, path, offset, line, prompt_id, row.rollout_index, *reward)
