"""What every protocol reads out of a reply: its JSON, its token counts, its text, and its oddities by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from collector.errors import ReplyError
from collector.protocols.server_text import error_text, one_line
from collector.records.messages import final_text
from collector.records.rows import JsonObject, Message, Reply, Usage

__all__ = ["cut_flags", "make_reply", "one_json_line", "read_object", "read_usage"]

_MOST_TOKENS = 2**53
"""Larger counts are nonsense, and their sum might be no 64-bit number, which JSON could not carry."""


def read_object(body: bytes) -> JsonObject:
    """The JSON object of a reply. Raises ReplyError: not_json, wrong_shape, or error_body when it tells of an error."""
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        seen = one_line(body[:2000].decode("utf-8", "replace"), 120)
        raise ReplyError(f"the reply is not JSON ({error}): {seen!r}", failure_class="not_json") from error
    if not isinstance(data, dict):
        raise ReplyError(f"the reply is JSON but no object: {one_line(str(data), 120)!r}", failure_class="wrong_shape")
    if data.get("error"):
        raise ReplyError(
            f"the server answered 200 with an error: {one_line(error_text(data))}", failure_class="error_body"
        )
    return data


def one_json_line(body: bytes) -> bytes:
    """The same JSON on one line, ready to be spliced into a row: untouched unless a line break stands in it.

    A line break can only be white space between tokens here: inside a string JSON wants it escaped.
    """
    body = body.strip()
    if b"\n" in body or b"\r" in body:
        return msgspec.json.format(body, indent=-1)
    return body


def read_usage(usage: Any) -> Usage | None:
    """Token counts under Chat's names or Responses'; None when the server gave none that can be read."""
    if not isinstance(usage, dict):
        return None
    asked, said = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if asked is None and said is None:
        asked, said = usage.get("input_tokens"), usage.get("output_tokens")
    if type(asked) is int and type(said) is int and 0 <= asked <= _MOST_TOKENS and 0 <= said <= _MOST_TOKENS:
        return Usage(asked, said)  # the everyday case, which the general one below would read alike
    given = _count(usage, "prompt_tokens", "input_tokens"), _count(usage, "completion_tokens", "output_tokens")
    if given == (None, None):
        return None
    return Usage(input_tokens=given[0] or 0, output_tokens=given[1] or 0)


def _count(usage: JsonObject, *names: str) -> int | None:
    for name in names:
        value = usage.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS:
            return value
    return None


def make_reply(
    raw: bytes,
    output: list[Message],
    *,
    finish_reason: str | None,
    usage: Usage | None,
    odd: Sequence[str] = (),
    reward: float | None = None,
    fields: JsonObject | None = None,
    samples: int = 1,
) -> Reply:
    """A Reply with its text and flags read from the output. `raw` must be the one line that `one_json_line` gives."""
    text = final_text(output)
    calls = any(message.get("tool_calls") or message.get("function_call") for message in output)
    flags = {
        "empty": not text.strip() and not calls,
        **dict.fromkeys(cut_flags(finish_reason), True),
        "refusal": any(message.get("refusal") for message in output),
        "tool_calls": calls,
        "reasoning": any(message.get("reasoning_content") or message.get("reasoning") for message in output),
    }
    return Reply(
        raw=raw,
        output=output,
        text=text,
        finish_reason=finish_reason,
        usage=usage,
        flags=(*(name for name, holds in flags.items() if holds), *odd),
        reward=reward,
        fields=fields or {},
        samples=samples,
    )


def cut_flags(finish_reason: object) -> tuple[str, ...]:
    """The flag of a text that did not end by itself: the server may put anything there, a list even."""
    if finish_reason == "length":
        return ("truncated",)
    return ("content_filter",) if finish_reason == "content_filter" else ()
