"""A rollout's prompt and answer as Chat messages, and what can be told from them.

The conversion itself is the collector's (`collector.records.messages`), so that both stages read alike. Answers are
decoded when asked for, and once.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import orjson

from collector.records.messages import final_text, messages_from_items, prompt_messages
from collector.records.rows import Message
from pairing.reading.rollouts import Rollout, dumps, loads, present, prompt_raw, tools_raw

__all__ = [
    "PLAINLY_SPEAKS",
    "PLAIN_ANSWER",
    "PLAIN_QUESTION",
    "answer",
    "answer_text",
    "is_empty",
    "plain_answer",
    "plain_prompt",
    "prompt",
    "prompt_text",
    "same_answer",
    "text_between",
    "tools",
]

_SAYS = ("content", "tool_calls", "items", "refusal", "function_call", "audio", "images")
"""What an answer can consist of. Reasoning alone is none: the model ran out before it spoke."""
_WITH_IDS = ("tool_calls", "items")
_IDS = ("id", "call_id")
PLAINLY_SPEAKS = re.compile(
    rb'\[\s*\{"role":\s*"assistant",\s*"content":\s*"(?: |\\[nrt])*+(?:[!#-\[\]-~\xc3-\xe0\xe4-\xf4]|\\["\\])'
).match
"""Our own rows' commonest beginning, up to a character that is no white space (whose first bytes, beyond ASCII, are c2,
e1, e2 or e3): enough to see, without decoding, that the answer is not empty."""


PLAIN_ANSWER = b'[{"role":"assistant","content":"'
PLAIN_QUESTION = b'[{"role":"user","content":"'
"""How one assistant message of text alone begins, written without spaces, and one user message."""
_END = b'"}]'


def plain_answer(rollout: Rollout) -> bytes | None:
    """The row's `output` as it stands there, when it is one assistant message of text alone, written without spaces:
    what most rows hold, and what most records want. `rollout.text` is its text then. None for any other answer."""
    if not rollout.looked:
        rollout.looked = True
        own = bytes(rollout.row.output)
        text = text_between(own, PLAIN_ANSWER)
        if text is not None:
            rollout.plain, rollout.text = own, text
    return rollout.plain


def plain_prompt(rollout: Rollout) -> bytes | None:
    """The prompt as it stands in the row, when it is one user message of text alone, without spaces; else None."""
    params = rollout.row.params
    if params is None or present(params.instructions):
        return None
    own = bytes(params.input)
    return None if text_between(own, PLAIN_QUESTION) is None else own


def text_between(own: bytes, opening: bytes) -> str | None:
    """The text of a message that `own` is, byte for byte, but for its content: `opening`, a JSON string, `"}]`. What
    stands between must be one string to a reader that is strict, or the bytes are not to be copied."""
    if not (own.startswith(opening) and own.endswith(_END)):
        return None
    try:
        text = orjson.loads(memoryview(own)[len(opening) - 1 : 1 - len(_END)])
    except orjson.JSONDecodeError:
        return None
    return text if isinstance(text, str) else None


def answer(rollout: Rollout) -> list[Message]:
    """The answer's messages: the row's `output`, or NeMo Gym's `response.output`."""
    if rollout.messages is None and plain_answer(rollout) is not None:
        rollout.messages = [{"role": "assistant", "content": rollout.text}]
    if rollout.messages is None:
        row = rollout.row
        raw = row.output if present(row.output) or row.response is None else row.response.output
        rollout.messages = _plain_messages(raw) or _any_messages(raw, rollout)
    return rollout.messages


def prompt(rollout: Rollout) -> list[Message]:
    """The prompt's messages, with Responses' `instructions` in front as a system message."""
    raw, params = prompt_raw(rollout.row), rollout.row.params
    if params is None or not present(params.instructions):
        return _plain_messages(raw) or prompt_messages(loads(raw))
    instructions = loads(params.instructions)
    return prompt_messages(loads(raw), instructions if isinstance(instructions, str) else None)


def tools(rollout: Rollout) -> list[Any]:
    """The tools the model was offered, as the request had them; empty when none."""
    raw = tools_raw(rollout.row)
    found = loads(raw) if present(raw) else []
    return found if isinstance(found, list) else []


def is_empty(rollout: Rollout) -> bool:
    """True when no assistant message of the answer says or calls anything. White space is nothing."""
    if PLAINLY_SPEAKS(rollout.row.output):
        return False
    return not any(m.get("role") == "assistant" and any(_holds(m.get(k)) for k in _SAYS) for m in answer(rollout))


def same_answer(one: Rollout, other: Rollout) -> bool:
    """True when both answers say and call the same, white space at the ends and call ids apart.

    Reasoning is no part of it: two answers alike that were scored apart show the verifier's noise, and a target that
    carries no reasoning would get two equal sides.
    """
    if plain_answer(one) is not None and plain_answer(other) is not None:
        return one.text.strip() == other.text.strip()
    mine, theirs = answer(one), answer(other)
    if len(mine) != len(theirs) or (mine and _trimmed(mine[-1]["content"]) != _trimmed(theirs[-1]["content"])):
        return False  # most pairs differ here, and need no closer look
    return _essence(mine) == _essence(theirs)


def answer_text(rollout: Rollout) -> str:
    """The answer for a reader: its final text, or its calls as JSON when it has none."""
    if plain_answer(rollout) is not None:
        return rollout.text
    messages = answer(rollout)
    text = final_text(messages)
    if text.strip():
        return text
    calls = [call for message in messages for key in ("tool_calls", "items") for call in message.get(key) or []]
    return dumps(calls).decode() if calls else text


def prompt_text(rollout: Rollout) -> str:
    """The prompt for a reader: each message's text, with its role in front where there are several."""
    messages = prompt(rollout)
    texts = [_plain(message.get("content")) for message in messages]
    if len(texts) == 1:
        return texts[0]
    return "\n".join(f"{message.get('role')}: {text}" for message, text in zip(messages, texts, strict=True))


class _Plain(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A message of role and text alone, which is what most answers consist of."""

    role: str
    content: str


_decode_plain = msgspec.json.Decoder(list[_Plain]).decode


def _plain_messages(raw: msgspec.Raw) -> list[Message] | None:
    """The messages when all are plain, which need no conversion; None when one is not, or there is none."""
    try:
        return [{"role": plain.role, "content": plain.content} for plain in _decode_plain(raw)]
    except msgspec.MsgspecError:
        return None


def _any_messages(raw: msgspec.Raw, rollout: Rollout) -> list[Message]:
    try:
        return _messages(msgspec.json.decode(raw))
    except msgspec.DecodeError:
        rollout.mended = True
        return _messages(loads(raw))


def _messages(found: Any) -> list[Message]:
    if isinstance(found, str):
        return [{"role": "assistant", "content": found}]
    return messages_from_items(found if isinstance(found, list) else [found])


def _holds(value: Any) -> bool:
    if isinstance(value, list):
        return any(_holds(part.get("text")) if _is_text(part) else part for part in value)
    return bool(value.strip() if isinstance(value, str) else value)


def _is_text(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "text"


def _essence(messages: list[Message]) -> list[Any]:
    return [
        (m.get("role"), *(_without_ids(m.get(key)) if key in _WITH_IDS else _trimmed(m.get(key)) for key in _SAYS))
        for m in messages
    ]


def _trimmed(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _without_ids(calls: Any) -> Any:
    if not isinstance(calls, list):
        return calls
    return [{k: v for k, v in call.items() if k not in _IDS} if isinstance(call, dict) else call for call in calls]


def _plain(content: Any) -> str:
    if isinstance(content, list):
        return " ".join(str(p.get("text")) if _is_text(p) else f"[{_kind(p)}]" for p in content)
    return str(content)


def _kind(part: Any) -> str:
    return str(part.get("type")) if isinstance(part, dict) else "part"
