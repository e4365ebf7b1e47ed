"""The pair inside the tool: two rollouts of one prompt, and what every record says about them."""

from __future__ import annotations

from typing import Any

import msgspec

from pairing.messages import answer_text
from pairing.reading.rollouts import Rollout

__all__ = ["Pair"]


class Pair(msgspec.Struct, frozen=True, gc=False, eq=False):
    """A chosen and a rejected rollout of the same prompt. `gap` is chosen reward minus rejected reward."""

    task_index: int | None
    prompt_id: str
    chosen: Rollout
    rejected: Rollout
    gap: float
    strategy: str

    def meta(self) -> dict[str, Any]:
        """The metadata of a record: the same keys and types on every row. `task_index` is -1 where rows carry none;
        lengths are in characters of the final text."""
        return {
            "prompt_id": self.prompt_id,
            "task_index": -1 if self.task_index is None else self.task_index,
            "chosen_reward": self.chosen.reward,
            "rejected_reward": self.rejected.reward,
            "reward_gap": self.gap,
            "chosen_rollout_index": self.chosen.rollout_index,
            "rejected_rollout_index": self.rejected.rollout_index,
            "chosen_length": len(answer_text(self.chosen)),
            "rejected_length": len(answer_text(self.rejected)),
            "strategy": self.strategy,
        }
