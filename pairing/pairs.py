"""The pair inside the tool: two rollouts of one prompt, and what every record says about them."""

from __future__ import annotations

from typing import Any

import msgspec

from pairing.messages import answer_text
from pairing.reading.rollouts import Rollout

__all__ = ["Pair", "metadata"]


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
        return metadata(
            self.prompt_id,
            self.task_index,
            (self.chosen.reward, self.rejected.reward, self.gap),
            (self.chosen.rollout_index, self.rejected.rollout_index),
            (len(answer_text(self.chosen)), len(answer_text(self.rejected))),
            self.strategy,
        )


def metadata(
    prompt_id: str,
    task_index: int | None,
    rewards: tuple[float | None, float | None, float],
    rollout_indices: tuple[int | None, int | None],
    lengths: tuple[int, int],
    strategy: str,
) -> dict[str, Any]:
    """What `Pair.meta` gives, of these: each of chosen, then rejected; the rewards with their gap."""
    return {
        "prompt_id": prompt_id,
        "task_index": -1 if task_index is None else task_index,
        "chosen_reward": rewards[0],
        "rejected_reward": rewards[1],
        "reward_gap": rewards[2],
        "chosen_rollout_index": rollout_indices[0],
        "rejected_rollout_index": rollout_indices[1],
        "chosen_length": lengths[0],
        "rejected_length": lengths[1],
        "strategy": strategy,
    }
