"""Where a target's rows keep prompt, sides and tools, so that the rules can look at all targets alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["LAYOUTS", "Layout", "Note", "View", "view_of"]

STRING, LIST, OBJECT, EITHER, ANY = "a string", "a list", "an object", "a string or a list", "anything"
_FITS: Mapping[str, tuple[type, ...]] = {
    STRING: (str,),
    LIST: (list,),
    OBJECT: (dict,),
    EITHER: (str, list),
    ANY: (str, list, dict),
}


_SHAREGPT = {"human": "user", "gpt": "assistant", "observation": "tool", "function_call": "assistant"}


class Note(NamedTuple):
    """A problem's name, and where it is in the row."""

    problem: str
    detail: str


@dataclass(frozen=True, slots=True)
class Layout:
    """The path of each part, and the type it must have. An absent prompt is None: the sides hold it."""

    chosen: str
    rejected: str
    side: str
    prompt: str | None = None
    prompt_type: str = LIST
    tools: str = "tools"
    role: str = "role"
    content: str = "content"
    also: Mapping[str, str] | None = None
    """Further keys that must be there, with their types."""


@dataclass(frozen=True, slots=True)
class View:
    """A row's parts: lists of messages, or text as one message. None where the row has no usable one."""

    prompt: list[Any] | None
    chosen: list[Any] | None
    rejected: list[Any] | None
    tools: Any

    @property
    def sides(self) -> Iterator[tuple[str, list[Any]]]:
        """The sides that are there, with their names."""
        for name, side in (("chosen", self.chosen), ("rejected", self.rejected)):
            if side is not None:
                yield name, side


_TURNS = Layout("chosen", "rejected", LIST, "prompt")
_TEXTS = Layout("chosen", "rejected", STRING, "prompt", STRING)
_WHOLE = Layout("chosen", "rejected", LIST)
_SERVICE = Layout("preferred_output", "non_preferred_output", LIST, "input.messages", tools="input.tools")

LAYOUTS: Mapping[str, Layout] = {
    "trl": _TURNS,
    "trl-standard": _TEXTS,
    "trl-implicit": _WHOLE,
    "trl-kto": Layout("completion", "", LIST, "prompt"),
    "nemo-rl": Layout("chosen", "rejected", LIST, "context"),
    "nemo-rl-binary": Layout("chosen", "rejected", STRING, "prompt", EITHER),
    "nemo-aligner": Layout("chosen_response", "rejected_response", ANY, "prompt", EITHER),
    "openrlhf": _TURNS,
    "axolotl": Layout("chosen", "rejected", ANY, "messages", EITHER),
    "axolotl-intel": Layout("chosen", "rejected", STRING, "question", STRING),
    "llama-factory": Layout("chosen", "rejected", OBJECT, "conversations", role="from", content="value"),
    "llama-factory-alpaca": Layout("chosen", "rejected", STRING, "instruction", STRING),
    "ms-swift": Layout("messages", "rejected_response", ANY),
    "open-instruct": _WHOLE,
    "torchtune": _WHOLE,
    "oumi": Layout("chosen", "rejected", ANY, "prompt", EITHER),
    "verl": _TEXTS,
    "openai": _SERVICE,
    "together": _SERVICE,
    "fireworks": _SERVICE,
    "recipe": Layout("chosen", "rejected", LIST, "prompt", EITHER),
}


def view_of(row: Mapping[str, Any], layout: Layout) -> tuple[View, list[Note]]:
    """The row's parts, and what is absent or of a wrong type."""
    notes: list[Note] = []
    prompt = None
    if layout.prompt is not None:
        prompt = _turns(_part(row, layout.prompt, layout.prompt_type, notes), layout, "user")
    chosen = _turns(_part(row, layout.chosen, layout.side, notes), layout, "assistant")
    rejected = None
    if layout.rejected:
        rejected = _turns(_part(row, layout.rejected, layout.side, notes), layout, "assistant")
    return View(prompt, chosen, rejected, _at(row, layout.tools)), notes


def _part(row: Mapping[str, Any], path: str, kind: str, notes: list[Note]) -> Any:
    value = _at(row, path)
    if value is None:
        notes.append(Note("missing_key", path))
    elif not isinstance(value, _FITS[kind]):
        notes.append(Note("wrong_type", f"{path} is {_name(value)}, not {kind}"))
        return None
    return value


def _at(row: Mapping[str, Any], path: str) -> Any:
    found: Any = row
    for key in path.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _turns(value: Any, layout: Layout, role: str) -> list[Any] | None:
    """Text and a single object as a list of one message, in the words `role` and `content`."""
    if value is None:
        return None
    if isinstance(value, str):
        return [{"role": role, "content": value}]
    messages = [value] if isinstance(value, dict) else value
    if layout.role == "role":
        return list(messages)
    return [_renamed(message, layout) for message in messages]


def _renamed(message: Any, layout: Layout) -> Any:
    if not isinstance(message, dict):
        return message
    names = {layout.role: "role", layout.content: "content"}
    renamed = {names.get(key, key): value for key, value in message.items()}
    role = renamed.get("role")
    return renamed | ({"role": _SHAREGPT.get(role, role)} if isinstance(role, str) else {})


def _name(value: Any) -> str:
    return {str: "a string", list: "a list", dict: "an object", bool: "true or false"}.get(type(value), "a number")
