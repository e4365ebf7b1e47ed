"""Reads the input: rows one at a time, each checked, and each repeated in the aabbcc pattern.

Accepted rows, one JSON object a line: NeMo Gym's `responses_create_params` (its `input` a list or a string), Chat
`messages`, or a plain `prompt` string. Every other field of the row is kept. Blank lines, CRLF and a byte order mark
are read over. Not covered here: what a row's parameters mean to a server, which is the protocol's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from collector.errors import InputError
from collector.journal.reader import Line, iter_lines
from collector.protocols.server_text import one_line
from collector.records.identity import derive_seed, prompt_id_of
from collector.records.messages import prompt_messages
from collector.records.rows import JsonObject, PromptRow, Task
from collector.settings import CollectSettings

__all__ = ["Inventory", "check_rows", "count_rows", "read_rows", "repeat_rows", "rows_of"]

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_FORMS = ("responses_create_params", "messages", "prompt")
_ROW_PARAMS = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "max_output_tokens",
    "max_completion_tokens",
    "max_tokens",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "tools",
    "tool_choice",
    "response_format",
)
"""Top-level fields of `messages` and `prompt` rows that are request parameters, as in an OpenAI request body."""
_MAX_TOKENS = ("max_tokens", "max_completion_tokens")
_OURS = frozenset({"input", "n", "stream"})
"""Parameters the collector decides itself: repeats are separate requests, replies are read whole."""


_LEVELS_AROUND = 12
"""Levels that a request or a rollout puts around a part of the row, with some to spare."""
_WRITABLE_DEPTH = 254 - _LEVELS_AROUND
"""orjson reads 1024 levels of nesting, and writes 254."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What an input holds: `rows` prompts, `tasks` rollouts to be made of them. `repeats_of` gives a task's number of
    rollouts where they differ, else it is None."""

    rows: int
    tasks: int
    repeats_of: Callable[[int], int] | None = None


def rows_of(settings: CollectSettings) -> Iterator[PromptRow]:
    """The rows that a run reads, in file order, as its settings want them. Raises InputError as `read_rows` does."""
    return read_rows(settings.input, settings.limit)


def check_rows(settings: CollectSettings, problem_in: Callable[[PromptRow], str | None] | None = None) -> Inventory:
    """Reads the whole input once and checks each row; see `count_rows`."""
    rows = count_rows(settings.input, settings.limit, problem_in)
    return Inventory(rows, rows * settings.num_repeats)


def read_rows(path: Path, limit: int | None = None) -> Iterator[PromptRow]:
    """Rows of `path` in file order, at most `limit`, read as they are asked for.

    Raises InputError, naming file and line, at the first row that is no prompt.
    """
    for task_index, line in enumerate(_lines(path)):
        if limit is not None and task_index >= limit:
            return
        yield _parse_row(line, task_index)


def count_rows(
    path: Path, limit: int | None = None, problem_in: Callable[[PromptRow], str | None] | None = None
) -> int:
    """How many rows a run will read; checks each one, so that a bad last row stops the run before its first request.

    `problem_in` may find more to say against a row (a verifier that lacks a field). Raises InputError as `read_rows`
    does, for the first such row, and when there is no row at all.
    """
    count = 0
    for row in read_rows(path, limit):
        problem = problem_in(row) if problem_in else None
        if problem:
            raise InputError(f"{path}:{row.line}: {problem}")
        count += 1
    if count == 0:
        raise InputError(f"{path}: no rows: give one JSON object a line")
    return count


def repeat_rows(
    rows: Iterable[PromptRow],
    settings: CollectSettings,
    *,
    sends_seed: bool,
    skip: Callable[[tuple[int, int]], bool] = lambda _key: False,
) -> Iterator[Task]:
    """abc -> aabbcc: each row's repeats stand together, in input order; keys that `skip` accepts are left out.

    Parameters of the command line win over the row's. A row's own `seed` takes the place of the run's, so that its
    repeats still differ from each other.
    """
    for row in rows:
        params = _merge_params(row, settings)
        base_seed = params.pop("seed", None)
        run_seed = settings.seed if base_seed is None else int(base_seed)
        for rollout_index in range(settings.num_repeats):
            if skip((row.task_index, rollout_index)):
                continue
            seed = derive_seed(run_seed, row.prompt_id, row.task_index, rollout_index) if sends_seed else None
            yield Task(row, rollout_index, params, seed)


def _lines(path: Path) -> Iterator[Line]:
    # A pipe could be read only once, and the input is read twice: to check it, and to collect.
    if not path.exists():
        raise InputError(f"{path}: no such file (--input)")
    if not path.is_file():
        kind = "a folder" if path.is_dir() else "no regular file"
        raise InputError(f"{path} is {kind}: give a JSONL file (--input)")
    yield from iter_lines(path)


def _parse_row(line: Line, task_index: int) -> PromptRow:
    where = f"{line.path}:{line.number}"
    try:
        fields = orjson.loads(line.raw)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{where}: not JSON ({error.msg}): each line is one JSON object, plain text") from None
    if not isinstance(fields, dict):
        raise InputError(f"{where}: a JSON {_kind(fields)}: a row is an object")
    _check_depth(line.raw, fields, where)
    prompt, params = _prompt_of(fields, where)
    _check_seed(params.get("seed"), where)
    messages = prompt_messages(prompt, params.get("instructions"))
    return PromptRow(
        task_index=task_index,
        line=line.number,
        fields=fields,
        input=prompt,
        messages=messages,
        text=prompt if isinstance(prompt, str) else None,
        params=params,
        prompt_id=prompt_id_of(messages, params.get("tools")),
    )


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


def _check_seed(seed: Any, where: str) -> None:
    if seed is None:
        return
    try:
        int(seed)
    except (TypeError, ValueError):
        raise InputError(f"{where}: seed is {one_line(repr(seed), 60)}: give a whole number") from None


def _prompt_of(fields: JsonObject, where: str) -> tuple[list[Any] | str, JsonObject]:
    """The prompt, list or string, and the row's own request parameters."""
    form = next((name for name in _FORMS if name in fields), None)
    if form is None:
        there = ", ".join(list(fields)[:8]) or "nothing"
        raise InputError(f"{where}: no prompt: a row carries one of {', '.join(_FORMS)} (it has: {there})")
    if form == "responses_create_params":
        params = fields[form]
        if not isinstance(params, dict) or "input" not in params:
            raise InputError(f"{where}: responses_create_params holds no `input`")
        return _checked(params["input"], f"{where}: responses_create_params.input"), _normalised(params)
    if form == "messages":
        if isinstance(fields[form], str):
            raise InputError(f"{where}: messages is a string: give a list, or name the field `prompt`")
        return _checked(fields[form], f"{where}: messages"), _row_params(fields)
    if not isinstance(fields[form], str | list):
        raise InputError(f"{where}: prompt is a {_kind(fields[form])}: give a string or a list of messages")
    return _checked(fields[form], f"{where}: prompt"), _row_params(fields)


def _row_params(fields: JsonObject) -> JsonObject:
    return _normalised({name: fields[name] for name in _ROW_PARAMS if name in fields})


def _normalised(params: JsonObject) -> JsonObject:
    """Parameters under one name each, so that the command line's can win; nulls mean 'not given' (NeMo Gym pads)."""
    kept = {name: value for name, value in params.items() if value is not None and name not in _OURS}
    for alias in _MAX_TOKENS:
        if alias in kept:
            kept.setdefault("max_output_tokens", kept.pop(alias))
    return kept


def _checked(prompt: Any, where: str) -> list[Any] | str:
    if isinstance(prompt, str):
        if not prompt.strip():
            raise InputError(f"{where} is empty")
        return prompt
    if not isinstance(prompt, list):
        raise InputError(f"{where} is a {_kind(prompt)}: give a list of messages or a string")
    if not prompt:
        raise InputError(f"{where} is empty")
    for number, item in enumerate(prompt):
        if not isinstance(item, dict):
            raise InputError(f"{where}[{number}] is a {_kind(item)}: give an object with role and content")
        _check_item(item, f"{where}[{number}]")
    return prompt


def _check_item(item: JsonObject, where: str) -> None:
    """A message has a known role; other items (function calls, reasoning) name their type and pass as they are."""
    if item.get("type", "message") != "message":
        return
    role = item.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        shown = one_line(repr(role), 60)
        raise InputError(f"{where} has role {shown}: give one of {', '.join(sorted(_ROLES))}")
    if "content" not in item and "tool_calls" not in item:
        raise InputError(f"{where} has no content")
    calls = item.get("tool_calls")
    if calls is not None and not (isinstance(calls, list) and all(_is_call(call) for call in calls)):
        raise InputError(f"{where} has tool_calls of another shape: give a list of objects with a function")


def _is_call(call: Any) -> bool:
    return isinstance(call, dict) and isinstance(call.get("function"), dict | None)


def _merge_params(row: PromptRow, settings: CollectSettings) -> JsonObject:
    return {**row.params, **settings.params}


def _kind(value: Any) -> str:
    names = {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
