"""Reads rows lazily, in file order, and checks a whole input before the first request.

Blank lines, CRLF and a byte order mark are read over; every field of a row is kept.
"""

from __future__ import annotations

import glob
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from collector.errors import InputError
from collector.journal.reader import Line, iter_lines
from collector.prompts.forms import kind_of, own_params, own_prompt
from collector.prompts.repeats import DEFAULT, agent_for, repeats_for
from collector.prompts.wording import Wording, plain_text
from collector.records.identity import prompt_id_of
from collector.records.messages import prompt_messages
from collector.records.rows import JsonObject, Message, PromptRow
from collector.settings import CollectSettings

__all__ = ["Inventory", "check_rows", "read_rows", "rows_of"]

_PLAIN = {"role", "content"}
_SYSTEM = ("system", "developer")
_LEVELS_AROUND = 12
"""Levels that a request or a rollout puts around a part of the row, with some to spare."""
_WRITABLE_DEPTH = 254 - _LEVELS_AROUND
"""orjson reads 1024 levels of nesting, and writes 254."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What an input holds: `rows` prompts, `tasks` rollouts to be made of them. `repeats_of` gives a task's number of
    rollouts where they differ (two bytes a row), else it is None."""

    rows: int
    tasks: int
    repeats_of: Callable[[int], int] | None = None
    notes: tuple[str, ...] = ()
    """What the user should know about it: an agent with a number of repeats and no row, as a typo leaves one."""


def rows_of(settings: CollectSettings) -> Iterator[PromptRow]:
    """The rows that a run reads, in file order, as its settings want them. Raises InputError as `read_rows` does."""
    wording = Wording.of(settings)
    return read_rows(settings.input, settings.limit, wording, agents_prompt=settings.protocol == "agent")


def check_rows(settings: CollectSettings, problem_in: Callable[[PromptRow], str | None] | None = None) -> Inventory:
    """What the run will read; checks each row, so that a bad last one stops the run before its first request.

    `problem_in` may find more to say against a row (a verifier that lacks a field). Raises InputError as `read_rows`
    does, for the first such row, for an agent without a number of repeats, and when there is no row at all.
    """
    rows = 0
    repeats = array("H") if settings.repeats_by_agent else None
    named: set[str | None] = set()
    for row in rows_of(settings):
        problem = problem_in(row) if problem_in else None
        if problem:
            raise InputError(f"{settings.input}:{row.line}: {problem}")
        rows += 1
        if repeats is not None:
            repeats.append(repeats_for(row, settings))
            named.add(agent_for(row, settings))
    if rows == 0:
        raise InputError(f"{settings.input}: no rows: give one JSON object a line")
    if repeats is None:
        return Inventory(rows, rows * settings.num_repeats)
    notes = tuple(
        f"--num-repeats: no row is for the agent {name!r}: its {number} repeats are for nothing"
        for name, number in settings.repeats_by_agent.items()
        if name not in named and name != DEFAULT
    )
    return Inventory(rows, sum(repeats), lambda index: repeats[index] if index < rows else settings.num_repeats, notes)


def read_rows(
    path: Path, limit: int | None = None, wording: Wording | None = None, *, agents_prompt: bool = False
) -> Iterator[PromptRow]:
    """Rows of `path` in file order, at most `limit`, read as they are asked for. `agents_prompt`: a row may leave its
    prompt to the agent.

    Raises InputError, naming file and line, at the first row that is no prompt.
    """
    for task_index, line in enumerate(_lines(path)):
        if limit is not None and task_index >= limit:
            return
        yield _parse_row(line, task_index, wording, agents_prompt)


def _lines(path: Path) -> Iterator[Line]:
    # A pipe could be read only once, and the input is read twice: to check it, and to collect.
    if not path.exists():
        pattern = ": one file is taken, no pattern; join them first" if glob.has_magic(str(path)) else ""
        raise InputError(f"{path}: no such file{pattern} (--input)")
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        raise InputError(f"{path} is {kind}: give a JSONL file (--input)")
    yield from iter_lines(path)


def _parse_row(line: Line, task_index: int, wording: Wording | None, agents_prompt: bool) -> PromptRow:
    where = f"{line.path}:{line.number}"
    try:
        fields = orjson.loads(line.raw)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{where}: not JSON ({error.msg}): each line is one JSON object, plain text") from None
    if not isinstance(fields, dict):
        raise InputError(f"{where}: a JSON {kind_of(fields)}: a row is an object")
    _check_depth(line.raw, fields, where)
    if wording is None:
        prompt = own_prompt(fields, where, may_be_empty=agents_prompt)
        params = own_params(fields, where)
        text = prompt if isinstance(prompt, str) else None
    else:
        params = own_params(fields, where)
        prompt = wording.prompt_of(fields, params, where, may_be_empty=agents_prompt)
        text = plain_text(prompt)
    messages = _messages(prompt, params.get("instructions"))
    made_of = fields if agents_prompt and not _asks(messages) else None
    return PromptRow(
        task_index=task_index,
        line=line.number,
        fields=fields,
        input=prompt,
        messages=messages,
        text=text,
        params=params,
        prompt_id=prompt_id_of(messages, params.get("tools"), made_of),
    )


def _asks(messages: list[Message]) -> bool:
    """Whether the prompt is there; a system prompt alone is none."""
    return any(message["role"] not in _SYSTEM for message in messages)


def _messages(prompt: list[Any] | str, instructions: str | None) -> list[Message]:
    """The prompt in Chat form. The commonest prompts need no conversion: a string, or messages of a role and a text."""
    if not instructions:
        if isinstance(prompt, str):
            return [{"role": "user", "content": prompt}]
        if all(item.keys() == _PLAIN and isinstance(item["content"], str) for item in prompt):
            return prompt
    return prompt_messages(prompt, instructions)


def _check_depth(raw: bytes, fields: JsonObject, where: str) -> None:
    """Raises InputError for a row that can be read but not written again. Only one with so many brackets is tried."""
    if raw.count(b"[") + raw.count(b"{") < _WRITABLE_DEPTH:
        return
    nested: Any = fields
    for _ in range(_LEVELS_AROUND):
        nested = [nested]
    try:
        orjson.dumps(nested)
    except TypeError:
        raise InputError(f"{where}: nested more than {_WRITABLE_DEPTH} levels deep: flatten or remove it") from None
