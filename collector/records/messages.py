"""Responses items and Chat messages -> Chat messages, with every text, call and result kept, in order.

The rules, one for each kind of item:

    message              -> one message; parts that are all text join into one string, a refusal goes to `refusal`
    reasoning            -> `reasoning_content` of the assistant message that follows; alone when none follows;
                            encrypted reasoning to its `encrypted_reasoning`, a list
    function_call        -> `tool_calls` of an assistant message; neighbours share one, a text just before them too
    ..._call_output      -> {"role": "tool", "tool_call_id": ..., "content": ...}; without `output`, the rest as JSON
    a nested list        -> its items, in place
    anything else        -> `items` of an assistant message, the item as it came

A Chat message keeps its own keys, those that are null apart. `content` is always there: a string, or a list of Chat
content parts when one of them is no text. Item ids, statuses, log-probabilities, token ids and annotations of text stay
behind: they are in the row's `response`. Nothing raises on odd data.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from collector.records.rows import JsonObject, Message

__all__ = ["EMPTY_WHEN_UNUSED", "final_text", "messages_from_items", "prompt_messages"]

_TEXT_PARTS = frozenset({"text", "input_text", "output_text", "summary_text", "reasoning_text"})
_CALLS = frozenset({"function_call", "custom_tool_call"})
_LEFT_BEHIND = frozenset(
    {"type", "id", "status", "prompt_token_ids", "generation_token_ids", "generation_log_probs", "reasoning"}
)
_OF_EVERY_RESULT = frozenset({"type", "id", "status", "call_id"})
EMPTY_WHEN_UNUSED = ("tool_calls", "annotations")
"""Keys that servers write as an empty list on every message."""


def messages_from_items(items: Iterable[Any]) -> list[Message]:
    """Chat messages from Responses items, Chat messages, or both mixed, by the rules above. Items stay as they are."""
    return _converted(items, encrypted=True)


def prompt_messages(prompt: list[Any] | str, instructions: str | None = None) -> list[Message]:
    """A prompt in Chat form: `input` of `responses_create_params`, or Chat `messages`, or a plain string as one user
    message. Responses' `instructions` become a system message in front. Encrypted reasoning of earlier turns is left
    out: it is no part of what a prompt asks (its id), and servers other than its own refuse it."""
    items: list[Any] = [{"role": "system", "content": instructions}] if instructions else []
    items.extend([{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt)
    return _converted(items, encrypted=False)


def final_text(messages: Iterable[Message]) -> str:
    """The text of the last assistant message: what verifiers score. Its refusal when it said nothing else, or ""."""
    last: Message = {}
    for message in messages:
        if message.get("role") == "assistant":
            last = message
    return _text_of(last.get("content")) or _as_text(last.get("refusal"))


def _converted(items: Iterable[Any], *, encrypted: bool) -> list[Message]:
    thread = _Thread(encrypted)
    for item in _flat(items):
        thread.add(item)
    return thread.close()


class _Thread:
    """The messages so far, and the reasoning that waits for the assistant message it belongs to."""

    def __init__(self, with_encrypted: bool) -> None:
        self.with_encrypted = with_encrypted
        self.messages: list[Message] = []
        self.reasoning: list[str] = []
        self.encrypted: list[str] = []
        self._growing: list[Any] = []

    def add(self, item: Any) -> None:
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "reasoning":
            self.reasoning.extend(_reasoning_texts(item))
            encrypted = _as_text(item.get("encrypted_content"))
            if encrypted and self.with_encrypted:
                self.encrypted.append(encrypted)
        elif isinstance(kind, str) and kind in _CALLS:
            self._extend("tool_calls", _tool_call(item))
        elif isinstance(kind, str) and kind.endswith("_call_output"):
            self._append(_tool_result(item))
        elif isinstance(item, dict) and (kind == "message" or (kind is None and isinstance(item.get("role"), str))):
            self._append(_message(item))
        else:
            self._extend("items", item)

    def close(self) -> list[Message]:
        """All messages; reasoning that nothing followed stands on an assistant message of its own."""
        if self._waits:
            self._append({"role": "assistant", "content": ""})
        return self.messages

    @property
    def _waits(self) -> bool:
        return bool(self.reasoning or self.encrypted)

    def _append(self, message: Message) -> None:
        if self._waits:
            if message["role"] != "assistant":
                self.messages.append({"role": "assistant", "content": ""})
                self._take_reasoning(self.messages[-1])
            else:
                self._take_reasoning(message)
        self.messages.append(message)

    def _extend(self, key: str, value: Any) -> None:
        """Put `value` into the list `key` of the last message, or of a new assistant message when reasoning or
        another turn lies between."""
        last = self.messages[-1] if self.messages else {}
        if self._waits or last.get("role") != "assistant" or not isinstance(last.get(key, []), list):
            last = {"role": "assistant", "content": ""}
            self._append(last)
        held = last.get(key)
        if held is None or held is not self._growing:
            self._growing = last[key] = list(held or ())  # a copy: the first may be the item's own
        self._growing.append(value)

    def _take_reasoning(self, message: Message) -> None:
        if self.reasoning:
            own = message.get("reasoning_content")
            texts = [*self.reasoning, own] if isinstance(own, str) else self.reasoning
            message["reasoning_content"] = "\n\n".join(texts)
        if self.encrypted:
            held = message.get("encrypted_reasoning")
            message["encrypted_reasoning"] = [*self.encrypted, *(held if isinstance(held, list) else ())]
        self.reasoning, self.encrypted = [], []


def _flat(items: Iterable[Any]) -> Iterator[Any]:
    """The items with nested lists opened, in order. A stack, not recursion: depth is the sender's choice."""
    stack = [iter(items)]
    while stack:
        for item in stack[-1]:
            if isinstance(item, list):
                stack.append(iter(item))
                break
            yield item
        else:
            stack.pop()


def _message(item: JsonObject) -> Message:
    """One Chat message from a Responses `message` item or a Chat message."""
    role = item.get("role")
    message: Message = {"role": role if isinstance(role, str) else "assistant"}
    content, refusal = _content(item.get("content"))
    message["content"] = content
    if refusal:
        message["refusal"] = refusal
    for key, value in item.items():
        if key not in message and key not in _LEFT_BEHIND and value is not None:
            message[key] = value
    for key in EMPTY_WHEN_UNUSED:
        if message.get(key) == []:
            del message[key]
    _name_reasoning(message, item.get("reasoning"))
    return message


def _name_reasoning(message: Message, reasoning: Any) -> None:
    """`reasoning`, as newer servers call it, becomes `reasoning_content`. What is no text, or another text than a
    `reasoning_content` beside it, keeps its name."""
    if reasoning in (None, ""):
        return
    if isinstance(reasoning, str) and message.setdefault("reasoning_content", reasoning) == reasoning:
        return
    message["reasoning"] = reasoning


def _content(content: Any) -> tuple[str | list[Any], str]:
    """(Chat content, refusal text) of a message's content, whatever shape it has."""
    if content is None or isinstance(content, str):
        return content or "", ""
    if not isinstance(content, list):
        return _as_text(content), ""
    parts = [_part(part) for part in content if not _is_refusal(part)]
    refusal = "".join(_as_text(part.get("refusal")) for part in content if _is_refusal(part))
    if all(part.get("type") == "text" for part in parts):
        return "".join(part["text"] for part in parts), refusal
    return parts, refusal


def _is_refusal(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "refusal"


def _part(part: Any) -> JsonObject:
    """One content part under Chat's names; a kind that Chat does not know stays as it is."""
    if not isinstance(part, dict):
        return {"type": "text", "text": _as_text(part)}
    kind = part.get("type")
    if isinstance(kind, str) and kind in _TEXT_PARTS:
        return {"type": "text", "text": _as_text(part.get("text"))}
    if kind == "input_image" and isinstance(part.get("image_url"), str):
        image = {"url": part["image_url"]}
        if part.get("detail") is not None:
            image["detail"] = part["detail"]
        return {"type": "image_url", "image_url": image}
    if kind == "input_file":
        return {"type": "file", "file": {k: v for k, v in part.items() if k != "type" and v is not None}}
    return part


def _tool_call(item: JsonObject) -> JsonObject:
    call_id = item.get("call_id") or item.get("id")
    if item.get("type") == "custom_tool_call":
        return {"id": call_id, "type": "custom", "custom": {"name": item.get("name"), "input": item.get("input")}}
    function = {"name": item.get("name"), "arguments": _as_text(item.get("arguments"))}
    return {"id": call_id, "type": "function", "function": function}


def _reasoning_texts(item: JsonObject) -> Iterator[str]:
    """A reasoning item's texts: its summaries, then its own content, each once."""
    seen: set[str] = set()
    for name in ("summary", "content"):
        parts = item.get(name)
        for part in parts if isinstance(parts, list) else [parts]:
            text = _as_text(part.get("text") if isinstance(part, dict) else part)
            if text and text not in seen:
                seen.add(text)
                yield text


def _tool_result(item: JsonObject) -> Message:
    call = {} if item.get("call_id") is None else {"tool_call_id": item["call_id"]}
    content, refusal = _result(item["output"]) if "output" in item else (_rest(item), "")
    return {"role": "tool", **call, "content": content} | ({"refusal": refusal} if refusal else {})


def _rest(item: JsonObject) -> str:
    """What an output item without `output` says under other names, as JSON; "" for nothing."""
    rest = {key: value for key, value in item.items() if key not in _OF_EVERY_RESULT and value is not None}
    return _as_text(rest or None)


def _result(output: Any) -> tuple[str | list[Any], str]:
    """A tool's result as Chat content, and its refusals; one that is neither text nor parts is written as JSON."""
    if isinstance(output, list) and not all(isinstance(part, dict) and "type" in part for part in output):
        return _as_text(output), ""
    return _content(output)


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        return "".join(_as_text(p.get("text")) for p in content if isinstance(p, dict) and p.get("type") == "text")
    return _as_text(content)


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return str(value)
