"""NVIDIA's records: NeMo RL's two preference data sets, and NeMo-Aligner's DPO data."""

from __future__ import annotations

from typing import Any, ClassVar

from pairing.formats.base import Capabilities, Unfit
from pairing.formats.fitting import one_text
from pairing.formats.plain import PlainFormat
from pairing.formats.shapes import TURNS, turns_shape
from pairing.formats.trl_text import TrlStandard
from pairing.formats.turns import Sides
from pairing.pairs import Pair

__all__ = ["NemoAligner", "NemoRl", "NemoRlBinary"]


class NemoRl(PlainFormat):
    """`{"context": [messages], "completions": [{"rank": 0, "completion": [...]}, {"rank": 1, ...}]}`.

    Never a `task_name`: NeMo RL adds that column itself, and fails on a second one.
    """

    name: ClassVar[str] = "nemo-rl"
    capabilities: ClassVar[Capabilities] = Capabilities(
        several_messages=True,
        tools=False,
        reasoning=False,
        parts=False,
        rectangular=True,
        loss="the final message",
        notes="rank 0 is preferred; dataset_name: PreferenceDataset",
    )

    def fields(self, sides: Sides, pair: Pair) -> dict[str, Any]:
        ranked = [{"rank": rank, "completion": side} for rank, side in enumerate(sides.both)]
        return {"context": sides.prompt, "completions": ranked}

    def types(self) -> dict[str, Any]:
        return {"context": TURNS, "completions": [{"rank": int, "completion": TURNS}]}


class NemoRlBinary(TrlStandard):
    """`{"prompt": "...", "chosen": "...", "rejected": "..."}`: NeMo RL makes a user message and two answers of it."""

    name: ClassVar[str] = "nemo-rl-binary"


class NemoAligner(PlainFormat):
    """`{"prompt": [messages], "chosen_response": {message}, "rejected_response": {message}}`, and both rewards.

    NeMo-Aligner puts its model's chat tokens around messages. Text that has them already it takes too, with a warning
    for each row; such text is not written.
    """

    name: ClassVar[str] = "nemo-aligner"
    capabilities: ClassVar[Capabilities] = Capabilities(
        several_messages=False,
        tools=False,
        reasoning=False,
        parts=False,
        rectangular=True,
        loss="the completion",
        notes="needs a model with chat_prompt_tokens",
    )

    def fields(self, sides: Sides, pair: Pair) -> dict[str, Any]:
        roles = [message["role"] for message in sides.prompt]
        if roles.count("system") > 1 or "system" in roles[1:]:
            raise Unfit("unfit_system")
        if roles[-1:] != ["user"]:
            raise Unfit("unfit_prompt_end")
        meta = pair.meta()
        responses = [{"role": "assistant", "content": one_text(side)} for side in sides.both]
        return {
            "prompt": [{"role": m["role"], "content": m["content"]} for m in sides.prompt],
            "chosen_response": responses[0],
            "rejected_response": responses[1],
            "chosen_reward": meta["chosen_reward"],
            "rejected_reward": meta["rejected_reward"],
        }

    def types(self) -> dict[str, Any]:
        message = {"role": str, "content": str}
        return {
            "prompt": turns_shape(),
            "chosen_response": message,
            "rejected_response": message,
            "chosen_reward": float,
            "rejected_reward": float,
        }
