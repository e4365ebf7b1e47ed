"""Records of Chat messages for trainers that need no shape of their own beyond TRL's: OpenRLHF, Oumi, open-instruct,
torchtune, ms-swift."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from pairing.formats.base import Capabilities, Unfit
from pairing.formats.fitting import one_text
from pairing.formats.images import images_of, marked_text
from pairing.formats.plain import PlainFormat
from pairing.formats.shapes import TURNS, turns_shape
from pairing.formats.turns import Sides
from pairing.pairs import Pair

__all__ = ["MsSwift", "OpenInstruct", "OpenRlhf", "Oumi", "Torchtune"]

_ONE_TEXT = Capabilities(
    several_messages=False,
    tools=False,
    reasoning=False,
    parts=False,
    rectangular=True,
    loss="the last message",
)


class OpenRlhf(PlainFormat):
    """TRL's explicit lists: `{"prompt": [...], "chosen": [...], "rejected": [...], "margin": gap}`.

    Both keys are needed, `--data.prompt_key prompt` and `--data.apply_chat_template`: without the first, OpenRLHF cuts
    the rejected side by the length of what stands before the last chosen message. It cuts by characters, so that a
    template that ends a prompt with something else than it puts before an answer gives a crooked cut.
    """

    name: ClassVar[str] = "openrlhf"
    capabilities: ClassVar[Capabilities] = Capabilities(
        several_messages=True,
        tools=False,
        reasoning=True,
        parts=False,
        rectangular=True,
        loss="all turns of a completion",
        notes="whether reasoning_content is rendered is up to the chat template; margin is read by the reward trainer",
        null_content=True,
    )

    def fields(self, sides: Sides, pair: Pair) -> dict[str, Any]:
        return {"prompt": sides.prompt, "chosen": sides.chosen, "rejected": sides.rejected, "margin": pair.gap}

    def types(self) -> dict[str, Any]:
        return {"prompt": TURNS, "chosen": TURNS, "rejected": TURNS, "margin": float}


class Oumi(PlainFormat):
    """`{"prompt": [...], "chosen": [...], "rejected": [...]}`, for data sets that derive from `BaseDpoDataset`.

    Its class `text_dpo_jsonl` wants text that has gone through a chat template instead: it refuses these rows.
    """

    name: ClassVar[str] = "oumi"
    capabilities: ClassVar[Capabilities] = Capabilities(
        several_messages=True,
        tools=False,
        reasoning=True,
        parts=False,
        rectangular=True,
        loss="all turns of a completion",
        notes="whether reasoning_content is rendered is up to the chat template",
        null_content=True,
    )

    def fields(self, sides: Sides, pair: Pair) -> dict[str, Any]:
        return {"prompt": sides.prompt, "chosen": sides.chosen, "rejected": sides.rejected}

    def types(self) -> dict[str, Any]:
        return {"prompt": TURNS, "chosen": TURNS, "rejected": TURNS}


class OpenInstruct(PlainFormat):
    """`{"chosen": [conversation], "rejected": [conversation]}`; the two differ in the last message alone."""

    name: ClassVar[str] = "open-instruct"
    capabilities: ClassVar[Capabilities] = _ONE_TEXT

    def fields(self, sides: Sides, pair: Pair) -> dict[str, Any]:
        prompt = [{"role": m["role"], "content": m["content"]} for m in sides.prompt]
        if prompt[-1]["role"] != "user":
            raise Unfit("unfit_prompt_end")
        chosen, rejected = ([*prompt, {"role": "assistant", "content": one_text(side)}] for side in sides.both)
        return {"chosen": chosen, "rejected": rejected}

    def types(self) -> dict[str, Any]:
        return {"chosen": turns_shape(), "rejected": turns_shape()}


class Torchtune(OpenInstruct):
    """As open-instruct's, for `torchtune.datasets.preference_dataset`, which trains on every assistant turn."""

    name: ClassVar[str] = "torchtune"
    capabilities: ClassVar[Capabilities] = Capabilities(
        several_messages=False,
        tools=False,
        reasoning=False,
        parts=False,
        rectangular=True,
        loss="every assistant message, those of the prompt too",
    )


class MsSwift(PlainFormat):
    """`{"messages": [..., the chosen answer], "rejected_response": "..."}`.

    The metadata is one object: keys that begin with rejected_, positive_ or negative_ would be taken for a side.
    """

    name: ClassVar[str] = "ms-swift"
    capabilities: ClassVar[Capabilities] = replace(_ONE_TEXT, images=frozenset({"path", "url", "data"}))
    fillers = {"images": []}  # noqa: RUF012 - ClassVar of the base

    def fields(self, sides: Sides, pair: Pair) -> dict[str, Any]:
        prompt = [{"role": m["role"], "content": marked_text(m)} for m in sides.prompt]
        if prompt[-1]["role"] != "user":
            raise Unfit("unfit_prompt_end")
        if any(m["role"] == "system" for m in prompt[1:]):
            raise Unfit("unfit_system")
        answer = {"role": "assistant", "content": one_text(sides.chosen)}
        images = list(images_of(sides.prompt))
        row = {"messages": [*prompt, answer], "rejected_response": one_text(sides.rejected)}
        return row | ({"images": images} if images else {})

    def types(self) -> dict[str, Any]:
        return {"messages": turns_shape(), "rejected_response": str, "images": [str]}
