"""TRL's other records: plain strings, whole conversations for RewardTrainer, single completions for KTO.

`trl-kto`: KTOTrainer pairs each completion of a batch with the next row's prompt for its KL term, so that two rows of
one prompt side by side would compare a completion with its own prompt (TRL's KTO documentation). Hence `spread`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pairing.formats.base import ADAPTED, Capabilities, Unfit
from pairing.formats.fitting import fitted, one_text, simple_prompt
from pairing.formats.plain import PlainFormat
from pairing.formats.shapes import META, TURNS
from pairing.formats.turns import Sides, sides_of
from pairing.pairs import Pair
from pairing.reading.rollouts import dumps

__all__ = ["TEXT_ONLY", "TrlImplicit", "TrlKto", "TrlStandard"]

TEXT_ONLY = Capabilities(
    several_messages=False,
    tools=False,
    reasoning=False,
    parts=False,
    rectangular=True,
    loss="the text",
    conversation=False,
)
"""A target of three strings."""


class TrlStandard(PlainFormat):
    """`{"prompt": "...", "chosen": "...", "rejected": "..."}`: no chat template is applied to it."""

    name: ClassVar[str] = "trl-standard"
    capabilities: ClassVar[Capabilities] = TEXT_ONLY

    def fields(self, sides: Sides, pair: Pair) -> dict[str, Any]:
        system, user = simple_prompt(sides)
        if system:
            raise Unfit("unfit_prompt_turns")
        return {"prompt": user, "chosen": one_text(sides.chosen), "rejected": one_text(sides.rejected)}

    def types(self) -> dict[str, Any]:
        return {"prompt": str, "chosen": str, "rejected": str}


class TrlImplicit(PlainFormat):
    """`{"chosen": [whole conversation], "rejected": [...], "margin": gap}`: RewardTrainer reads the margin. For DPO
    take `trl`: there the trainer looks for the prompt by itself, and finds too much where both sides begin alike."""

    name: ClassVar[str] = "trl-implicit"
    settled: ClassVar[frozenset[str]] = frozenset({"tools"})
    capabilities: ClassVar[Capabilities] = Capabilities(
        several_messages=True,
        tools=True,
        reasoning=True,
        parts=False,
        rectangular=True,
        loss="the score of the whole conversation",
        null_content=True,
        splits=False,
    )
    fillers = {"tools": "[]"}  # noqa: RUF012 - ClassVar of the base

    def fields(self, sides: Sides, pair: Pair) -> dict[str, Any]:
        chosen, rejected = ([*sides.prompt, *side] for side in sides.both)
        tools = {"tools": dumps(sides.tools).decode()} if sides.tools else {}
        return {"chosen": chosen, "rejected": rejected, "margin": pair.gap} | tools

    def types(self) -> dict[str, Any]:
        return {"chosen": TURNS, "rejected": TURNS, "margin": float, "tools": str}


class TrlKto(PlainFormat):
    """`{"prompt": [messages], "completion": [messages], "label": true}`: each side of the pair is a row of its own."""

    name: ClassVar[str] = "trl-kto"
    spread: ClassVar[bool] = True
    settled: ClassVar[frozenset[str]] = frozenset({"tools"})
    capabilities: ClassVar[Capabilities] = Capabilities(
        several_messages=True,
        tools=True,
        reasoning=True,
        parts=False,
        rectangular=True,
        loss="all turns of a completion",
        notes="two rows a pair; rows of one prompt are never neighbours",
        null_content=True,
    )
    fillers = {"tools": "[]"}  # noqa: RUF012 - ClassVar of the base

    def record(self, pair: Pair) -> dict[str, Any]:
        sides = fitted(sides_of(pair), self.capabilities, self.unfit)
        tools = {"tools": dumps(sides.tools).decode()} if sides.tools else {}
        rows = [
            {"prompt": sides.prompt, "completion": side, "label": label}
            | tools
            | {"meta": self._meta_of(pair, "chosen" if label else "rejected")}
            for side, label in ((sides.chosen, True), (sides.rejected, False))
        ]
        return {"rows": rows, ADAPTED: sides.adapted}

    def rows(self, record: Any) -> Sequence[Any]:
        rows: list[Any] = record["rows"]
        return rows

    def fields(self, sides: Sides, pair: Pair) -> dict[str, Any]:
        raise NotImplementedError  # `record` makes both rows at once

    def types(self) -> dict[str, Any]:
        return {"prompt": TURNS, "completion": TURNS, "label": bool, "tools": str}

    def shape(self, columns: frozenset[str]) -> dict[str, Any]:
        return (super().shape(columns) or {}) | {"meta": KTO_META}

    def _meta_of(self, pair: Pair, side: str) -> dict[str, Any]:
        meta = pair.meta()
        own = {key: meta[f"{side}_{key}"] for key in ("reward", "rollout_index", "length")}
        return {key: (own | meta)[key] for key in KTO_META}


KTO_META = {
    "prompt_id": META["prompt_id"],
    "task_index": META["task_index"],
    "reward": float,
    "reward_gap": float,
    "rollout_index": int,
    "length": int,
    "strategy": str,
}
"""What is said of a single completion."""
