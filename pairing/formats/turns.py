"""A pair as plain turns, which most targets' records are made of: role, text, tool calls, reasoning; nothing else.

What a turn cannot hold raises Unfit, so that no content is left out in silence. What a target cannot hold of a turn is
`fitting`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from collector.records.rows import Message
from collector.records.tools import chat_tool
from pairing.formats.base import Unfit
from pairing.formats.images import images_of, refuse_marks, user_parts
from pairing.messages import answer, prompt, tools
from pairing.pairs import Pair
from pairing.reading.rollouts import dumps

__all__ = ["TEXT_KEYS", "Sides", "plain_turn", "sides_of"]

TEXT_KEYS = ("tool_call_id", "name", "reasoning_content")
"""Keys of a message besides its content that hold text."""
_CANNOT_HOLD = {
    "items": "unfit_items",
    "function_call": "unfit_tool_call",
    "audio": "unfit_content_parts",
    "images": "unfit_content_parts",
}
_NO_IMAGES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Sides:
    """A pair's prompt and its two completions, as plain turns; the tools that were offered, in Chat's shape."""

    prompt: list[Message]
    chosen: list[Message]
    rejected: list[Message]
    tools: list[Any]
    adapted: tuple[str, ...] = ()
    """What a policy did to make the pair fit."""

    @property
    def both(self) -> tuple[list[Message], list[Message]]:
        return self.chosen, self.rejected

    def with_turns(self, chosen: list[Message], rejected: list[Message], done: str) -> Sides:
        """The same pair with other completions; `done` names what was done to them."""
        return replace(self, chosen=chosen, rejected=rejected, adapted=(*self.adapted, done))


def sides_of(pair: Pair, images: frozenset[str] = _NO_IMAGES) -> Sides:
    """Both sides of the pair. `images`: how the target takes those of the prompt. Raises Unfit for what is neither text
    nor such an image, and for a side without any message."""
    chosen, rejected = ([plain_turn(m) for m in answer(side)] for side in (pair.chosen, pair.rejected))
    if not (chosen and rejected):
        raise Unfit("unfit_no_message")
    asked = [plain_turn(m, images) for m in prompt(pair.chosen)]
    if any(images_of(asked)):
        refuse_marks([*asked, *chosen, *rejected])
    return Sides(
        prompt=asked,
        chosen=chosen,
        rejected=rejected,
        tools=[chat_tool(tool) for tool in tools(pair.chosen)],
    )


def plain_turn(message: Message, images: frozenset[str] = _NO_IMAGES) -> Message:
    """{"role", "content": text} and, where the message has them, `tool_calls` and TEXT_KEYS; a user's message with
    images its `parts` too. `developer` becomes `system`, a refusal becomes text. Raises Unfit."""
    for key, reason in _CANNOT_HOLD.items():
        if message.get(key):
            raise Unfit(reason)
    role = "system" if message["role"] == "developer" else message["role"]
    plain: Message = _with_images(message, images) or {"role": role, "content": _text(message)}
    if calls := message.get("tool_calls"):
        plain["tool_calls"] = [_call(call) for call in calls]
    for key in TEXT_KEYS:
        value = message.get(key)
        if isinstance(value, str) and value:
            plain[key] = value
    return plain


def _with_images(message: Message, images: frozenset[str]) -> Message | None:
    """A user's message that has images; None for any other."""
    content = message.get("content")
    if not (images and message["role"] == "user" and isinstance(content, list)):
        return None
    parts = user_parts(content, images)
    text = "".join(part.get("text", "") for part in parts)
    return {"role": "user", "content": text, "parts": parts} if any(images_of([{"parts": parts}])) else None


def _text(message: Message) -> str:
    content, refusal = message.get("content") or "", message.get("refusal")
    if isinstance(content, list):
        if not all(isinstance(part, dict) and part.get("type") == "text" for part in content):
            raise Unfit("unfit_content_parts")
        content = "".join(str(part.get("text", "")) for part in content)
    return "\n".join(text for text in (content, refusal) if isinstance(text, str) and text)


def _call(call: Any) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise Unfit("unfit_tool_call")
    arguments = function.get("arguments")
    return {
        "id": str(call.get("id") or ""),
        "type": "function",
        "function": {
            "name": str(function.get("name") or ""),
            "arguments": arguments if isinstance(arguments, str) else dumps(arguments).decode(),
        },
    }
