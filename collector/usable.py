"""Whether a prompt has a usable pair, by the rewards of its rollouts alone.

Not covered here: what else the pairing stage asks of a pair (answers that differ, a chosen side that is whole, ...).
"""

from __future__ import annotations

import math

__all__ = ["RewardRange", "usable"]


class RewardRange:
    """The rewards of one prompt's rollouts, as far as a pair of best and worst goes: `count` of them, the `best` and
    the `worst`. Without any, `best` is -inf and `worst` is inf."""

    __slots__ = ("best", "count", "worst")

    def __init__(self) -> None:
        self.count = 0
        self.best = -math.inf
        self.worst = math.inf

    def add(self, reward: float) -> None:
        """One more rollout's reward, which is finite."""
        self.count += 1
        if reward > self.best:
            self.best = reward
        if reward < self.worst:
            self.worst = reward


def usable(rewards: RewardRange, gap: float, min_chosen: float | None = None) -> bool:
    """Whether the best and the worst are a pair: at least `gap` apart, the best not under `min_chosen`.

    The rule of the pairing stage's `best_worst`: the rewards differ whatever the gap, which is compared in plain floats
    without a tolerance, and is one that a float can say.
    """
    width = rewards.best - rewards.worst
    if not (width > 0 and width >= gap and width != math.inf):
        return False
    return min_chosen is None or rewards.best >= min_chosen
