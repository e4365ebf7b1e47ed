"""A prompt and its answer as a judge or a reward model reads them: as plain text, or as Chat messages.

The answer is hostile text. Chat markup in it (`<|im_start|>`, `[INST]`, `<start_of_turn>`) is broken by an invisible
character (`inert`), because servers that render a chat template read such words as turns of the conversation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import orjson

from collector.records.rows import Message, Reply, Task

__all__ = ["answer_text", "conversation", "inert", "prompt_text", "transcript"]

_MARKUP = re.compile(
    r"<(?=[|｜])|<(?=/?s>)|\[(?=/?INST\]|/?(?:SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS|TOOL_CALLS)\])"
    r"|<(?=/?(?:start|end)_of_(?:turn|text|role)>)|<(?=<?/?SYS>)"
)
_BROKEN = "\u2060"
"""Word joiner: no width, no line break, and no part of any chat markup."""
_KEPT = ("role", "content", "name", "tool_calls", "tool_call_id")
"""What chat templates know of a message. Reasoning is left out: it is no part of the answer."""


def prompt_text(task: Task) -> str:
    """The prompt: the text itself when it is one user message, else every message under its role."""
    messages = task.row.messages
    if len(messages) == 1 and messages[0].get("role") == "user":
        return _content(messages[0])
    return transcript(messages)


def answer_text(reply: Reply) -> str:
    """The answer's final text, what every verifier scores."""
    return reply.text


def transcript(messages: Iterable[Message]) -> str:
    """Messages as text, each under its role in brackets; tool calls and results stand where they came."""
    return "\n\n".join(f"[{message.get('role') or 'assistant'}]\n{_said(message)}" for message in messages)


def conversation(task: Task, reply: Reply) -> list[Message]:
    """The prompt's messages and the reply's, in order, with the keys that chat templates know."""
    answer = reply.output or [{"role": "assistant", "content": reply.text}]
    return [*map(_plain, task.row.messages), *(_inert_in(_plain(message)) for message in answer)]


def inert(text: str) -> str:
    """`text` with its chat markup broken; to a reader it looks the same."""
    return _MARKUP.sub(lambda found: found[0] + _BROKEN, text)


def _inert_in(value: Any) -> Any:
    """`value` with every text in it inert: templates render a call's arguments and a tool's result too."""
    if isinstance(value, str):
        return inert(value)
    if isinstance(value, dict):
        return {name: _inert_in(part) for name, part in value.items()}
    return [_inert_in(part) for part in value] if isinstance(value, list) else value


def _plain(message: Message) -> Message:
    kept = {key: message[key] for key in _KEPT if message.get(key) is not None}
    kept.setdefault("content", "")
    if not kept["content"] and isinstance(message.get("refusal"), str):
        kept["content"] = message["refusal"]
    return kept


def _said(message: Message) -> str:
    calls = message.get("tool_calls")
    lines = [_content(message) or str(message.get("refusal") or "")]
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            arguments = function.get("arguments")
            shown = arguments if isinstance(arguments, str) else _json(arguments)
            lines.append(f"(calls {function.get('name')} with {shown})")
    return "\n".join(line for line in lines if line)


def _content(message: Message) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return "".join(_part(part) for part in content)
    return content if isinstance(content, str) else "" if content is None else _json(content)


def _part(part: Any) -> str:
    """A content part as text; what is no text is named, not shown."""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return _json(part)
    text = part.get("text")
    return text if isinstance(text, str) else f"[{part.get('type') or 'part'}]"


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return str(value)
