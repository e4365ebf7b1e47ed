"""What a filter does to the two sides: of the prompts that it takes rollouts from, how many best answers and how many
lower-scored ones it leaves out. A minimum reward takes the rejected side away."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pairing.reading.rollouts import Rollout

__all__ = ["FilterEffect"]


@dataclass(slots=True)
class FilterEffect:
    """Counts of scored rollouts; best are those with the highest reward of their prompt, rivals the others."""

    best: int = 0
    best_out: int = 0
    rivals: int = 0
    rivals_out: int = 0

    def add(self, rollouts: Iterable[Rollout], out: Iterable[Rollout]) -> None:
        """One prompt's rollouts, and those of them that were left out."""
        rewards = [rollout.reward for rollout in rollouts if rollout.reward is not None]
        gone = [rollout.reward for rollout in out if rollout.reward is not None]
        if not gone:
            return
        highest = max(rewards)
        best, best_out = rewards.count(highest), gone.count(highest)
        self.best += best
        self.best_out += best_out
        self.rivals += len(rewards) - best
        self.rivals_out += len(gone) - best_out

    @property
    def one_sided(self) -> bool:
        """True when most lower-scored answers went, and at most half as large a share of the best."""
        return 2 * self.rivals_out > self.rivals and 2 * self.best_out * self.rivals <= self.rivals_out * self.best
