"""What a protocol is, and the steps all of them share: writing a body, reading a reply's JSON, naming its oddities."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from collector.errors import ReplyError, RequestError
from collector.protocols.server_text import error_text, one_line
from collector.records.messages import final_text
from collector.records.rows import JsonObject, Message, Reply, Task, Usage
from collector.settings import CollectSettings

__all__ = ["Protocol", "encode_body", "make_reply", "one_json_line", "read_object", "read_usage"]


_MOST_TOKENS = 2**53
"""Larger counts are nonsense, and their sum might be no 64-bit number, which JSON could not carry."""


class Protocol(typing.Protocol):
    """One way of asking a server for a rollout. Stateless: one instance serves every run."""

    name: str
    path: str
    """Where requests go, below the base URL."""
    sends_seed: bool
    """Whether tasks carry a seed unless the settings say otherwise."""
    several: bool
    """Whether one request can ask for more than one sample."""

    def build(self, task: Task, settings: CollectSettings, samples: int = 1) -> bytes:
        """The JSON body of the request. `samples` above 1 asks for so many with one request (`n`), from the task's
        seed on. The settings' `extra_body` goes in last and wins. Raises RequestError, not retryable, for a prompt
        that this protocol cannot carry."""

    def parse(self, body: bytes) -> Reply:
        """The Reply in a 200's body. Raises ReplyError with failure_class not_json, error_body, empty_choices or
        wrong_shape. Output that is only reasoning or tool calls is no error; `flags` name it."""

    def parse_samples(self, body: bytes) -> list[Reply]:
        """One Reply for each sample in a 200's body, at least one, in the order of their indices. Each has `raw` with
        that sample alone, and `samples`: how many the server sent, which is not always what was asked for. Raises as
        `parse` does."""


def encode_body(body: JsonObject, task: Task) -> bytes:
    """The body's bytes. Raises RequestError when it holds what JSON cannot carry (a lone surrogate, say)."""
    try:
        return orjson.dumps(body)
    except TypeError as error:
        raise RequestError(
            f"input line {task.row.line}: the request cannot be written as JSON: {error}",
            failure_class="bad_prompt",
            retryable=False,
        ) from error


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
        "truncated": finish_reason == "length",
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
