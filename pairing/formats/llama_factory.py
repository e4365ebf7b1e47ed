"""LLaMA-Factory's ranking records, ShareGPT's shape and Alpaca's, and their entry in `dataset_info.json`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import orjson

from collector.records.rows import Message
from pairing.formats.base import Capabilities, Unfit
from pairing.formats.fitting import one_text, simple_prompt
from pairing.formats.images import escaped, images_of, marked_text
from pairing.formats.plain import PlainFormat
from pairing.formats.trl_text import TEXT_ONLY
from pairing.formats.turns import Sides
from pairing.pairs import Pair
from pairing.reading.rollouts import dumps

__all__ = ["LlamaFactory", "LlamaFactoryAlpaca"]

_TAGS = {"user": "human", "assistant": "gpt", "system": "system", "tool": "observation"}
_TURN = {"from": str, "value": str}


class LlamaFactory(PlainFormat):
    """`{"conversations": [{"from": "human", "value": "..."}], "chosen": {"from": "gpt", ...}, "rejected": {...}}`.

    LLaMA-Factory skips a row, with a warning alone, whose turns do not alternate from `human` (or `observation`) to
    `gpt` (or `function_call`), or whose number is even: such pairs do not fit.
    """

    name: ClassVar[str] = "llama-factory"
    settled: ClassVar[frozenset[str]] = frozenset({"tools"})
    capabilities: ClassVar[Capabilities] = Capabilities(
        several_messages=False,
        tools=True,
        reasoning=False,
        parts=False,
        rectangular=True,
        loss="the completion",
        images=frozenset({"path"}),
        notes="a call of a tool stands alone in its message, one result after it; dataset_info.json is written",
    )
    fillers = {"tools": "[]", "images": []}  # noqa: RUF012 - ClassVar of the base
    entry: ClassVar[dict[str, Any]] = {
        "formatting": "sharegpt",
        "ranking": True,
        "columns": {"messages": "conversations", "chosen": "chosen", "rejected": "rejected"},
    }
    """What stands in dataset_info.json, the file's name apart."""

    def fields(self, sides: Sides, pair: Pair) -> dict[str, Any]:
        turns = list(_turns(sides.prompt))
        asked = turns[1:] if turns and turns[0]["from"] == "system" else turns
        wanted = [("human", "observation"), ("gpt", "function_call")]
        if any(turn["from"] not in wanted[place % 2] for place, turn in enumerate(asked)):
            raise Unfit("unfit_alternation")
        if len(asked) % 2 == 0:
            raise Unfit("unfit_prompt_end")
        (chosen,), (rejected,) = (list(_turns(side)) for side in sides.both)
        if not (chosen["value"].strip() and rejected["value"].strip()):
            raise Unfit("unfit_no_text")
        tools = {"tools": dumps(sides.tools).decode()} if sides.tools else {}
        found = list(images_of(sides.prompt))
        images = {"images": found} if found else {}
        return {"conversations": turns, "chosen": chosen, "rejected": rejected} | tools | images

    def types(self) -> dict[str, Any]:
        return {"conversations": [_TURN], "chosen": _TURN, "rejected": _TURN, "tools": str, "images": [str]}

    def encode(self, record: Any, columns: frozenset[str]) -> bytes:
        if "images" in columns and not record.get("images"):  # it refuses a mark without an image
            kept = {"conversations": [_without_marks(turn) for turn in record["conversations"]]}
            record = record | kept | {side: _without_marks(record[side]) for side in ("chosen", "rejected")}
        return super().encode(record, columns)

    def info(self, columns: frozenset[str]) -> dict[str, Any]:
        """The file's entry in dataset_info.json, its name apart."""
        held = self.entry["columns"] | {key: key for key in ("tools", "images") if key in columns}
        return self.entry | {"columns": held}


class LlamaFactoryAlpaca(PlainFormat):
    """`{"instruction": "...", "input": "", "chosen": "...", "rejected": "...", "system": ""}`."""

    name: ClassVar[str] = "llama-factory-alpaca"
    capabilities: ClassVar[Capabilities] = TEXT_ONLY
    entry: ClassVar[dict[str, Any]] = {
        "ranking": True,
        "columns": {
            "prompt": "instruction",
            "query": "input",
            "chosen": "chosen",
            "rejected": "rejected",
            "system": "system",
        },
    }

    def fields(self, sides: Sides, pair: Pair) -> dict[str, Any]:
        system, user = simple_prompt(sides)
        chosen, rejected = map(one_text, sides.both)
        return {"instruction": user, "input": "", "chosen": chosen, "rejected": rejected, "system": system}

    def types(self) -> dict[str, Any]:
        return {"instruction": str, "input": str, "chosen": str, "rejected": str, "system": str}

    def info(self, columns: frozenset[str]) -> dict[str, Any]:
        """The file's entry in dataset_info.json, its name apart."""
        return self.entry


def _turns(messages: list[Message]) -> Iterator[dict[str, str]]:
    for message in messages:
        role: str = message["role"]
        calls = message.get("tool_calls")
        if calls:
            if message["content"].strip():
                raise Unfit("unfit_tool_call")
            yield {"from": "function_call", "value": _calls(calls)}
        else:
            yield {"from": _TAGS.get(role, role), "value": marked_text(message)}


def _without_marks(turn: dict[str, str]) -> dict[str, str]:
    return turn | {"value": escaped(turn["value"])}


def _calls(calls: list[Any]) -> str:
    """As LLaMA-Factory's own converter writes them: name, and arguments as an object."""
    functions = [{"name": c["function"]["name"], "arguments": _object(c["function"]["arguments"])} for c in calls]
    return dumps(functions[0] if len(functions) == 1 else functions).decode()


def _object(arguments: str) -> Any:
    try:
        found = orjson.loads(arguments or "{}")
    except orjson.JSONDecodeError:
        raise Unfit("unfit_tool_call") from None
    return found
