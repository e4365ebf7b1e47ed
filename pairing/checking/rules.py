"""The rules that hold for every target, by what its capability table says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import takewhile
from typing import Any

import orjson

from pairing.checking.layouts import Note, View
from pairing.formats import Capabilities

__all__ = ["common_notes"]

_ITEMS = frozenset({"message", "reasoning", "function_call", "function_call_output", "output_text"})
_PARTS = frozenset({"output_text", "input_text"})


def common_notes(row: Mapping[str, Any], view: View, holds: Capabilities, whole: bool) -> Iterator[Note]:
    """What is wrong with the row for a target that can hold `holds`. `whole`: its sides begin with the prompt."""
    if holds.images and "images" in row:
        holds = replace(holds, parts=True)  # `image_notes` looks at the parts
    yield from _prompt_notes(view, holds)
    shared = _shared(view) if whole else 0
    for name, side in view.sides:
        own = side if not whole else side[shared:] if holds.several_messages and shared < len(side) else side[-1:]
        yield from _side_notes(name, side, own, holds, whole)
    yield from _tool_notes(view, holds)
    if view.chosen and view.chosen == view.rejected:
        yield Note("identical_sides", "")
    yield from _reward_notes(row)


def _prompt_notes(view: View, holds: Capabilities) -> Iterator[Note]:
    prompt = view.prompt
    if prompt is None:
        return
    if not prompt or not any(_says(message) for message in prompt):
        yield Note("empty_prompt", "")
        return
    if holds.as_it_came:
        return
    yield from _message_notes("prompt", prompt, holds)
    if _role(prompt[-1]) == "assistant":
        yield Note("prefill", "")


def _shared(view: View) -> int:
    """How many messages both sides begin with: the prompt, where it stands on the sides."""
    both = zip(view.chosen or [], view.rejected or [], strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], both))


def _side_notes(name: str, side: list[Any], own: list[Any], holds: Capabilities, whole: bool) -> Iterator[Note]:
    """`own` is the side without what is a prompt's."""
    refuses = holds.as_it_came and any(isinstance(message, dict) and message.get("refusal") for message in own)
    if not (refuses or any(_says(message) for message in own)):
        yield Note("empty_side", name)
    yield from _message_notes(name, side, holds)
    if not own:
        return
    if not whole and len(side) > 1 and not holds.several_messages:
        yield Note("several_messages", f"{name}: {len(side)} messages")
    if _role(own[-1]) not in ("assistant", None) and not holds.as_it_came:
        yield Note("not_assistant", f"{name} ends with {_role(own[-1])}")
    if not whole and holds.several_messages and any(_role(message) == "tool" for message in side):
        yield Note("tool_output_trained", name)


def _message_notes(name: str, messages: list[Any], holds: Capabilities) -> Iterator[Note]:
    """At most one note of a kind for a list of messages."""
    told: set[str] = set()
    for place, message in enumerate(messages):
        for problem, detail in _one_message(message, holds):
            if problem not in told:
                told.add(problem)
                yield Note(problem, f"{name}[{place}]{detail}")


def _one_message(message: Any, holds: Capabilities) -> Iterator[tuple[str, str]]:
    if _is_item(message):
        yield "responses_items", f" is a {message.get('type')} item"
        return
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        yield "bad_message", ""
        return
    content = message.get("content")
    if content is None and not holds.null_content and not (holds.tools and message.get("tool_calls")):
        yield "null_content", ""
    if isinstance(content, list) and not holds.parts:
        yield "content_parts", ""
    elif content is not None and not isinstance(content, str | list):
        yield "wrong_type", ".content is no text"
    if message.get("reasoning_content") and not holds.reasoning:
        yield "reasoning_unsupported", ""
    if message.get("tool_calls") and not (holds.tools or holds.as_it_came):
        yield "tools_unsupported", ".tool_calls"


def _tool_notes(view: View, holds: Capabilities) -> Iterator[Note]:
    tools = view.tools
    if not tools or tools == "[]":
        return
    if not holds.tools:
        yield Note("tools_unsupported", "tools")
    elif isinstance(tools, str):
        try:
            fits = isinstance(orjson.loads(tools), list)
        except orjson.JSONDecodeError:
            fits = False
        if not fits:
            yield Note("tools_not_json", "")
    elif holds.rectangular:
        yield Note("tools_as_objects", "")


def _reward_notes(row: Mapping[str, Any]) -> Iterator[Note]:
    meta = row.get("meta")
    for place in (row, meta if isinstance(meta, dict) else {}):
        chosen, rejected = place.get("chosen_reward"), place.get("rejected_reward")
        if isinstance(chosen, int | float) and isinstance(rejected, int | float) and not chosen > rejected:
            yield Note("reward_order", f"{chosen} against {rejected}")


def _is_item(message: Any) -> bool:
    """An item of the Responses API: by its type, or by the type of its parts. A message of plain text with the mark
    `"type": "message"` reads as a Chat message."""
    if not isinstance(message, dict):
        return False
    content = message.get("content")
    if _kind(message) in _ITEMS:
        return not (_kind(message) == "message" and isinstance(content, str) and _role(message) is not None)
    return isinstance(content, list) and any(_kind(part) in _PARTS for part in content)


def _kind(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else None
    return kind if isinstance(kind, str) else None


def _says(message: Any) -> bool:
    if not isinstance(message, dict):
        return bool(message)
    content = message.get("content")
    said = content.strip() if isinstance(content, str) else content
    return bool(said or message.get("tool_calls") or _is_item(message))


def _role(message: Any) -> str | None:
    role = message.get("role") if isinstance(message, dict) else None
    return role if isinstance(role, str) else None
