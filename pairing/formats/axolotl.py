"""Axolotl's DPO records: `chat_template.default`, and `chatml.intel`.

Axolotl renders each answer behind a dummy question and looks for the answer's text in the result. An answer with white
space at an end is not found where the template trims, and all but its last character is lost; an answer that is a piece
of the template's own text is found too early. So the first are trimmed, and the second are left out and counted.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pairing.formats.base import Capabilities, Unfit
from pairing.formats.fitting import one_text, simple_prompt
from pairing.formats.plain import PlainFormat
from pairing.formats.shapes import turns_shape
from pairing.formats.trl_text import TEXT_ONLY
from pairing.formats.turns import Sides
from pairing.pairs import Pair

__all__ = ["Axolotl", "AxolotlIntel", "is_template_text"]

_TEMPLATE_TEXTS = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n[[dummy_message]]<|im_end|>\n"
    "<|im_start|>assistant\n",
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"
    "Today Date: 26 Jul 2024\n\n<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n[[dummy_message]]<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    "<s>[INST] [[dummy_message]] [/INST] ",
    "<bos><start_of_turn>user\n[[dummy_message]]<end_of_turn>\n<start_of_turn>model\n",
    "<|user|>\n[[dummy_message]]<|end|>\n<|assistant|>\n",
)
"""What common chat templates put in front of an answer to Axolotl's dummy question."""


def is_template_text(answer: str) -> bool:
    """True when `answer` is a piece of what a common chat template puts in front of it."""
    return any(answer in text for text in _TEMPLATE_TEXTS)


class Axolotl(PlainFormat):
    """`{"messages": [prompt], "chosen": {"role": "assistant", "content": "..."}, "rejected": {...}}`."""

    name: ClassVar[str] = "axolotl"
    capabilities: ClassVar[Capabilities] = Capabilities(
        several_messages=False,
        tools=False,
        reasoning=False,
        parts=False,
        rectangular=True,
        loss="the completion",
        notes="white space at the ends of an answer is trimmed",
    )

    def fields(self, sides: Sides, pair: Pair) -> dict[str, Any]:
        answers = [one_text(side).strip() for side in sides.both]
        if any(map(is_template_text, answers)):
            raise Unfit("unfit_template_text")
        chosen, rejected = ({"role": "assistant", "content": text} for text in answers)
        prompt = [{"role": m["role"], "content": m["content"]} for m in sides.prompt]
        return {"messages": prompt, "chosen": chosen, "rejected": rejected}

    def types(self) -> dict[str, Any]:
        message = {"role": str, "content": str}
        return {"messages": turns_shape(), "chosen": message, "rejected": message}


class AxolotlIntel(PlainFormat):
    """`{"system": "", "question": "...", "chosen": "...", "rejected": "..."}`, put into ChatML by Axolotl."""

    name: ClassVar[str] = "axolotl-intel"
    capabilities: ClassVar[Capabilities] = TEXT_ONLY

    def fields(self, sides: Sides, pair: Pair) -> dict[str, Any]:
        system, question = simple_prompt(sides)
        chosen, rejected = map(one_text, sides.both)
        return {"system": system, "question": question, "chosen": chosen, "rejected": rejected}

    def types(self) -> dict[str, Any]:
        return {"system": str, "question": str, "chosen": str, "rejected": str}
