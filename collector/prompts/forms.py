"""The three forms of a row, each checked: NeMo Gym's `responses_create_params`, Chat `messages`, a plain `prompt`.

What comes of a row is its prompt, a list or a string, and its own request parameters. Raises InputError, one line that
says where and what, for a row that could not be sent.
"""

from __future__ import annotations

from typing import Any

from collector.errors import InputError
from collector.protocols.server_text import one_line
from collector.records.rows import JsonObject

__all__ = ["kind_of", "own_params", "own_prompt"]

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
_OURS = frozenset({"input", "n", "stream"})
"""Parameters the collector decides itself: repeats are separate requests, replies are read whole."""
_KINDS = {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}


def own_prompt(fields: JsonObject, where: str, *, may_be_empty: bool = False) -> list[Any] | str:
    """The prompt that the row carries, list or string. `may_be_empty`: an agent makes the prompt of a NeMo Gym row
    whose `input` is an empty list."""
    form = next((name for name in _FORMS if name in fields), None)
    if form is None:
        there = ", ".join(list(fields)[:8]) or "nothing"
        raise InputError(
            f"{where}: no prompt: a row carries one of {', '.join(_FORMS)} (it has: {there}); --prompt-template FILE"
            " makes it of other fields"
        )
    if form == "responses_create_params":
        params = fields[form]
        if not isinstance(params, dict) or "input" not in params:
            raise InputError(f"{where}: responses_create_params holds no `input`")
        if params["input"] == []:
            return _empty_input(where, may_be_empty)
        return _checked(params["input"], f"{where}: responses_create_params.input")
    if form == "messages":
        if isinstance(fields[form], str):
            raise InputError(f"{where}: messages is a string: give a list, or name the field `prompt`")
        return _checked(fields[form], f"{where}: messages")
    if not isinstance(fields[form], str | list):
        raise InputError(f"{where}: prompt is a {kind_of(fields[form])}: give a string or a list of messages")
    return _checked(fields[form], f"{where}: prompt")


def own_params(fields: JsonObject, where: str) -> JsonObject:
    """The row's own request parameters, in Responses vocabulary; nulls are left out."""
    params = fields.get("responses_create_params")
    if params is None:
        params = {name: fields[name] for name in _ROW_PARAMS if name in fields}
    elif not isinstance(params, dict):
        raise InputError(f"{where}: responses_create_params is a {kind_of(params)}: give an object")
    params = _normalised(params)
    if "seed" in params:
        _check_seed(params["seed"], where)
    return params


def _empty_input(where: str, may_be_empty: bool) -> list[Any]:
    if not may_be_empty:
        raise InputError(
            f"{where}: responses_create_params.input is empty: only an agent makes the prompt itself (--protocol agent)"
        )
    return []


def kind_of(value: Any) -> str:
    """What a JSON value is, in words."""
    return _KINDS.get(type(value), "number")


def _normalised(params: JsonObject) -> JsonObject:
    """Parameters under one name each, so that the command line's can win; nulls mean 'not given' (NeMo Gym pads)."""
    kept = {name: value for name, value in params.items() if value is not None and name not in _OURS}
    if "max_tokens" in kept:  # `max_completion_tokens` keeps its name: some servers take no other
        kept.setdefault("max_output_tokens", kept.pop("max_tokens"))
    return kept


def _check_seed(seed: Any, where: str) -> None:
    try:
        int(seed)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{where}: seed is {one_line(repr(seed), 60)}: give a whole number") from None


def _checked(prompt: Any, where: str) -> list[Any] | str:
    if isinstance(prompt, str):
        if not prompt.strip():
            raise InputError(f"{where} is empty")
        return prompt
    if not isinstance(prompt, list):
        raise InputError(f"{where} is a {kind_of(prompt)}: give a list of messages or a string")
    if not prompt:
        raise InputError(f"{where} is empty")
    for number, item in enumerate(prompt):
        if not isinstance(item, dict):
            raise InputError(f"{where}[{number}] is a {kind_of(item)}: give an object with role and content")
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
