"""TRL's DPO record, conversational with an explicit prompt; the metadata in one object that no trainer reads.

Messages are {"role", "content"} with content always a string. Each of four more keys stands on all messages of a side
(prompt, chosen or rejected) in the whole file, or on none: to datasets the three are columns of their own. Tool
definitions are one JSON string, which TRL decodes: as objects their parameters would be merged into one struct over
all rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import orjson

from collector.records.rows import Message
from pairing.formats.base import ADAPTED, Capabilities, Format
from pairing.formats.fitting import fitted
from pairing.formats.images import escaped, images_of
from pairing.formats.shapes import META, turns_shape
from pairing.formats.turns import TEXT_KEYS, sides_of
from pairing.messages import plain_answer, plain_prompt
from pairing.pairs import Pair
from pairing.reading.rollouts import dumps, present, tools_raw

__all__ = ["Trl"]

_MESSAGE_COLUMNS = ("tool_calls", *TEXT_KEYS)
_OPTIONAL = frozenset(_MESSAGE_COLUMNS)
_NONE: frozenset[str] = frozenset()
_SIDES = ("prompt", "chosen", "rejected")


class Trl(Format):
    """`{"prompt": [messages], "chosen": [messages], "rejected": [messages], "tools"?: "[...]", "images"?: [...],
    "meta": {...}}`. Where any row has images, the content of all prompts is a list of parts: images keep their places.

    `developer` becomes `system`, and Responses' tools take Chat's shape, which is what chat templates know; a refusal
    becomes text. Message keys that carry no content (annotations, a server's own fields) stay in the rollouts file.
    """

    name: ClassVar[str] = "trl"
    verbatim: ClassVar[bool] = True
    settled: ClassVar[frozenset[str]] = frozenset({"tools"})
    capabilities: ClassVar[Capabilities] = Capabilities(
        several_messages=True,
        tools=True,
        reasoning=True,
        parts=False,
        rectangular=True,
        loss="all turns of a completion, tool results too",
        notes="whether reasoning_content is rendered is up to the chat template",
        null_content=True,
        images=frozenset({"path", "url", "data"}),
    )

    def record(self, pair: Pair) -> dict[str, Any] | bytes:
        """The record, or its line when prompt and answers are plain: then their bytes are the row's own."""
        return self._spliced(pair) or self.whole(pair)

    def splice(self, prompt: bytes, chosen: bytes, rejected: bytes, meta: Mapping[str, Any]) -> bytes | None:
        parts = (
            b'{"prompt":',
            prompt,
            b',"chosen":',
            chosen,
            b',"rejected":',
            rejected,
            b',"meta":',
            orjson.dumps(meta),
        )
        return b"".join((*parts, b"}"))

    def whole(self, pair: Pair) -> dict[str, Any]:
        """The record of any pair."""
        sides = fitted(sides_of(pair, self.capabilities.images), self.capabilities, self.unfit)
        record: dict[str, Any] = {
            "prompt": sides.prompt,
            "chosen": sides.chosen,
            "rejected": sides.rejected,
            "meta": pair.meta(),
        }
        if sides.tools:
            record["tools"] = dumps(sides.tools).decode()
        if images := list(images_of(sides.prompt)):
            record |= {"prompt": [_in_parts(m) for m in sides.prompt], "images": images}
        if sides.adapted:
            record[ADAPTED] = sides.adapted
        return record

    def adapted(self, record: Mapping[str, Any] | bytes) -> tuple[str, ...]:
        return () if isinstance(record, bytes) else record.get(ADAPTED, ())

    def columns(self, record: Mapping[str, Any] | bytes) -> frozenset[str]:
        if isinstance(record, bytes):
            return _NONE
        needed = {f"{side}.{key}" for side in _SIDES for message in record[side] for key in message.keys() & _OPTIONAL}
        return frozenset(needed | record.keys() & {"tools", "images"})

    def encode(self, record: Mapping[str, Any] | bytes, columns: frozenset[str]) -> bytes:
        if isinstance(record, bytes):
            return record if not columns else self.encode(orjson.loads(record), columns)
        row: dict[str, Any] = {}
        for side in _SIDES:
            extra = [key for key in _MESSAGE_COLUMNS if f"{side}.{key}" in columns]
            keys = ("role", "content", *extra)
            messages = _beside_images(record, side) if "images" in columns else record[side]
            row[side] = [{key: m.get(key) for key in keys} for m in messages] if extra else messages
        if "tools" in columns:
            row["tools"] = record.get("tools", "[]")
        if "images" in columns:
            row["images"] = record.get("images", [])
        row["meta"] = record["meta"]
        return orjson.dumps(row)

    def shape(self, columns: frozenset[str]) -> dict[str, Any]:
        shape: dict[str, Any] = {
            side: turns_shape([key for key in _MESSAGE_COLUMNS if f"{side}.{key}" in columns]) for side in _SIDES
        }
        if "tools" in columns:
            shape["tools"] = str
        if "images" in columns:
            shape["prompt"] = [shape["prompt"][0] | {"content": [{"type": str, "text": str}]}]
            shape["images"] = [str]
        return shape | {"meta": META}

    def _spliced(self, pair: Pair) -> bytes | None:
        """The line of a pair whose messages are plain, put together from the row's own bytes; None for any other."""
        chosen, rejected = plain_answer(pair.chosen), plain_answer(pair.rejected)
        if chosen is None or rejected is None or present(tools_raw(pair.chosen.row)):
            return None
        prompt = plain_prompt(pair.chosen)
        return None if prompt is None else self.splice(prompt, chosen, rejected, pair.meta())


def _in_parts(message: Message) -> Message:
    """A message of the prompt, its content as parts: TRL puts the `images` where the image parts are, in order. Both
    kinds have the same keys, as columns must."""
    content = message["content"]
    if isinstance(content, list):
        return message
    parts = message.get("parts") or [{"type": "text", "text": content}]
    rest = {key: value for key, value in message.items() if key != "parts"}
    return rest | {"content": [{"type": part["type"], "text": part.get("text")} for part in parts]}


def _beside_images(record: Mapping[str, Any], side: str) -> list[Message]:
    """A side of any row in a file that has images. The text of a row that has none is kept from being one."""
    messages: list[Message] = record[side]
    if not record.get("images"):
        messages = [_without_marks(m) for m in messages]
    return [_in_parts(m) for m in messages] if side == "prompt" else messages


def _without_marks(message: Message) -> Message:
    content = message["content"]
    return message | {"content": escaped(content)} if isinstance(content, str) else message
