"""The everyday reply, one assistant message of nothing but text, read by a short way.

It takes only what the rules for all messages (`collector.records.messages`) would read alike, and gives the same Reply;
whatever else a message holds is left to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from collector.protocols.replies import cut_flags
from collector.records.messages import EMPTY_WHEN_UNUSED
from collector.records.rows import JsonObject, Message, Reply, Usage

__all__ = ["plain_reply", "text_of_items", "text_of_message"]

_ITEM_KEYS = frozenset({"type", "role", "content", "id", "status"})


def text_of_message(message: JsonObject) -> str | None:
    """The text of an assistant's Chat message that says nothing else, else None."""
    content = message.get("content")
    if type(content) is not str:
        return None
    for name, value in message.items():
        if (value is None and name != "role") or name == "content":
            continue
        if (name == "role" and value == "assistant") or (value == [] and name in EMPTY_WHEN_UNUSED):
            continue
        return None
    return content


def text_of_items(items: list[Any]) -> str | None:
    """The text of Responses items that are one assistant's message of one text part, else None."""
    item = items[0] if len(items) == 1 else None
    if type(item) is not dict or item.get("type") != "message" or item.get("role") != "assistant":
        return None
    parts = item.get("content")
    if type(parts) is not list or len(parts) != 1 or not item.keys() <= _ITEM_KEYS:
        return None
    part = parts[0]
    text = part.get("text") if type(part) is dict and part.get("type") == "output_text" else None
    return text if type(text) is str else None


def plain_reply(
    raw: bytes,
    text: str,
    *,
    finish_reason: str | None,
    usage: Usage | None,
    odd: Sequence[str] = (),
    reward: float | None = None,
    fields: JsonObject | None = None,
    samples: int = 1,
) -> Reply:
    """What `make_reply` gives for one assistant message of nothing but `text`."""
    flags = tuple(odd)
    if finish_reason != "stop":
        flags = (*cut_flags(finish_reason), *flags)
    if not text or text.isspace():
        flags = ("empty", *flags)
    output: list[Message] = [{"role": "assistant", "content": text}]
    return Reply(raw, output, text, finish_reason, usage, flags, reward, fields or {}, samples)
