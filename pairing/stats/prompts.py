"""Prompts that teach nothing: saturated ones (every answer a success) and hopeless ones (every answer a failure)."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

import orjson

from collector.errors import OutputError
from pairing.messages import prompt_text
from pairing.reading.groups import Group
from pairing.reading.rollouts import BrokenLine

__all__ = ["Listed", "PromptList", "prompt_files"]

_TEXT = 400
"""Characters of a prompt that are kept to be shown."""


class Listed(NamedTuple):
    """One prompt of a list. `text` comes from the input as it is: to be cleaned before it reaches a terminal."""

    prompt_id: str
    task_index: int | None
    answers: int
    mean_reward: float
    text: str


@dataclass(slots=True)
class PromptList:
    """How many there are, the first `keep` of them, and all of them in `file`, where one is given, as JSON lines."""

    keep: int
    file: BinaryIO | None = None
    count: int = 0
    first: list[Listed] = field(default_factory=list)

    def add(self, group: Group, rewards: Sequence[float]) -> None:
        self.count += 1
        mean = sum(reward / len(rewards) for reward in rewards)
        if len(self.first) < self.keep:
            self.first.append(Listed(group.prompt_id, group.task_index, len(rewards), mean, _text(group)))
        if self.file is not None:
            row = {"prompt_id": group.prompt_id, "task_index": group.task_index}
            self.file.write(orjson.dumps(row | {"answers": len(rewards), "mean_reward": mean}) + b"\n")

    def restart(self) -> None:
        """Forget all: the groups come once more."""
        self.count = 0
        self.first.clear()
        if self.file is not None:
            self.file.seek(0)
            self.file.truncate()


def _text(group: Group) -> str:
    try:
        return prompt_text(group.rollouts[0])[:_TEXT]
    except (BrokenLine, RecursionError):
        return ""


@contextmanager
def prompt_files(
    places: dict[str, Path | None], inputs: Sequence[Path], overwrite: bool
) -> Iterator[list[BinaryIO | None]]:
    """A file for each place (by its flag), None where there is none. They get their names when the block ends well, and
    leave nothing behind when it does not. Raises OutputError for a place that holds something (without `overwrite`),
    is an input, is given twice, or cannot be written."""
    taken = {path.resolve() for path in inputs}
    for flag, path in places.items():
        if path is not None:
            with _told(flag, path):
                _check(flag, path, taken, overwrite)
    with ExitStack() as stack:
        yield [None if path is None else stack.enter_context(_replaced(flag, path)) for flag, path in places.items()]


def _check(flag: str, path: Path, taken: set[Path], overwrite: bool) -> None:
    place = path.resolve()
    if place in taken:
        raise OutputError(f"{flag} {path} is an input, or given twice: give another path")
    taken.add(place)
    if place.exists() and not place.is_file():
        raise OutputError(f"{flag} {path} is no regular file: give another path")
    if place.exists() and place.stat().st_size and not overwrite:
        raise OutputError(f"{flag} {path} exists already: give --overwrite to replace it, or another path")


@contextmanager
def _told(flag: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{flag} {path}: cannot be written: {error.strerror or error}") from error


@contextmanager
def _replaced(flag: str, path: Path) -> Iterator[BinaryIO]:
    place = path.resolve()  # a link stays, and what it points to is written
    draft = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    try:
        with _told(flag, path):
            file = draft.open("xb")
        with file:
            yield file
            with _told(flag, path):
                file.flush()
                os.fsync(file.fileno())
        with _told(flag, path):
            draft.replace(place)
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
