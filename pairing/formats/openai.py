"""The preference record of OpenAI's fine-tuning API, which Azure, Together and Fireworks take too.

Nothing but the three documented keys is written: the services check their files, so there is no metadata here.
"""

from __future__ import annotations

from typing import Any, ClassVar

from collector.records.rows import Message
from pairing.formats.base import Capabilities
from pairing.formats.fitting import one_text
from pairing.formats.plain import PlainFormat
from pairing.formats.turns import Sides
from pairing.pairs import Pair
from pairing.reading.rollouts import dumps

__all__ = ["Fireworks", "OpenAi", "Together"]

_KEYS = ("input", "preferred_output", "non_preferred_output")


class OpenAi(PlainFormat):
    """`{"input": {"messages": [...], "tools"?: [...]}, "preferred_output": [message], "non_preferred_output": [..]}`"""

    name: ClassVar[str] = "openai"
    with_meta: ClassVar[bool] = False
    capabilities: ClassVar[Capabilities] = Capabilities(
        several_messages=False,
        tools=True,
        reasoning=False,
        parts=False,
        rectangular=False,
        loss="the output",
        notes="calls of tools in the prompt only; an output is text; no metadata",
    )

    def fields(self, sides: Sides, pair: Pair) -> dict[str, Any]:
        preferred, other = ([{"role": "assistant", "content": one_text(side)}] for side in sides.both)
        asked: dict[str, Any] = {"messages": [_message(m) for m in sides.prompt]}
        if sides.tools:
            asked |= {"tools": sides.tools, "parallel_tool_calls": True}
        return {"input": asked, "preferred_output": preferred, "non_preferred_output": other}

    def types(self) -> dict[str, Any]:
        return {}

    def columns(self, record: Any) -> frozenset[str]:
        return frozenset()

    def encode(self, record: Any, columns: frozenset[str]) -> bytes:
        return dumps({key: value for key, value in record.items() if key in _KEYS})

    def shape(self, columns: frozenset[str]) -> None:
        return None


class Together(OpenAi):
    """OpenAI's record, one assistant message in each output."""

    name: ClassVar[str] = "together"


class Fireworks(OpenAi):
    """OpenAI's record, one assistant message in each output."""

    name: ClassVar[str] = "fireworks"


def _message(message: Message) -> Message:
    """The message; without content where it calls tools and says nothing."""
    if "tool_calls" in message and not message["content"]:
        return {key: value for key, value in message.items() if key != "content"}
    return message
