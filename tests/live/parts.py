"""What the tests of the live view share: a terminal that understands what the view writes, events, a run to be read."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from collector.load import ServerLoad
from collector.records.rows import PromptRow, Reply, Task, Usage, Verdict

_WORDS = re.compile(r"\x1b\[(\d*)([JKA])|([\r\n])|([^\x1b\r\n]+)")


class Terminal(io.StringIO):
    """A terminal as wide as need be. Knows carriage return, line feed, cursor up, erase right and erase down; anything
    else that is no text fails the test. `written` are the single writes."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = [""]
        self.row = self.column = 0
        self.written: list[str] = []

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.written.append(text)
        at = 0
        while at < len(text):
            found = _WORDS.match(text, at)
            assert found, text[at:]
            at = found.end()
            self._do(found)
        return len(text)

    def _do(self, found: re.Match[str]) -> None:
        number, code, control, words = found.groups()
        if code:
            self._code(code, int(number or 1))
        elif control == "\r":
            self.column = 0
        elif control:
            self.row, self.column = self.row + 1, 0
            self.lines += [""] * (self.row + 1 - len(self.lines))
        else:
            line = self.lines[self.row].ljust(self.column)
            assert words.isprintable(), words
            self.lines[self.row] = line[: self.column] + words + line[self.column + len(words) :]
            self.column += len(words)

    def _code(self, code: str, number: int) -> None:
        if code == "A":
            self.row -= number
            return
        self.lines[self.row] = self.lines[self.row][: self.column]
        if code == "J":
            del self.lines[self.row + 1 :]

    @property
    def shown(self) -> list[str]:
        return [line.rstrip() for line in self.lines]


@dataclass
class View:
    """A run as a watcher reads it."""

    in_flight: int = 0
    limit: int = 32
    endpoints: Mapping[str, int] = field(default_factory=dict)
    retries: Mapping[str, int] = field(default_factory=dict)
    load: ServerLoad | None = None
    before: Mapping[int, int] = field(default_factory=dict)

    def there_before(self, row: PromptRow) -> int:
        return self.before.get(row.task_index, 0)


def load(waiting: float, age: float = 0.0) -> ServerLoad:
    return ServerLoad(time.monotonic() - age, running=30.0, waiting=waiting, kv=0.25)


def row(index: int) -> PromptRow:
    return PromptRow(index, index + 1, {}, "q", [], "q", {}, f"{index:016x}")


def task(index: int, repeat: int = 0) -> Task:
    return Task(row(index), repeat, {}, None)


def reply(output_tokens: int | None = None, samples: int = 1) -> Reply:
    usage = None if output_tokens is None else Usage(2 * output_tokens, output_tokens)
    return Reply(b"{}", [], "", "stop", usage, samples=samples)


def verdict(reward: float) -> Verdict:
    return Verdict(reward)
