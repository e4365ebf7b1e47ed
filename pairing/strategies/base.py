"""What a strategy is: a policy that picks pairs from the usable rollouts of one prompt.

What is usable is decided before, by the sample and pool guards; which of the picked pairs stay, after it, by the pair
guards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple, Protocol

from pairing.rollouts import Rollout

__all__ = ["REWARD", "Choice", "Pool", "Strategy", "reward_of"]

REWARD: Any = attrgetter("reward")
"""`reward_of` as a sort key: without its check, which costs more than the rest of a comparison."""


class Choice(NamedTuple):
    """One candidate pair: two rollouts of one prompt."""

    chosen: Rollout
    rejected: Rollout

    @property
    def gap(self) -> float:
        """Chosen reward minus rejected reward, in plain floats."""
        return reward_of(self.chosen) - reward_of(self.rejected)


@dataclass(frozen=True, slots=True)
class Pool:
    """The usable rollouts of one prompt, by rollout index, all with a finite reward and not all with the same one.
    `chosen` may stand on the chosen side, `rejected` on the rejected side (all of them); most stand in both.
    `prompt_id` is what a random policy mixes into its seed, so that the order of prompts changes nothing."""

    chosen: Sequence[Rollout]
    rejected: Sequence[Rollout]
    prompt_id: str = ""

    @property
    def mean(self) -> float:
        """Mean reward of the usable rollouts."""
        return math.fsum(map(reward_of, self.rejected)) / len(self.rejected)

    @property
    def std(self) -> float:
        """Standard deviation (of the population) of their rewards; over 0, as they differ, or infinite."""
        mean = self.mean
        try:
            return math.sqrt(math.fsum((reward_of(r) - mean) ** 2 for r in self.rejected) / len(self.rejected))
        except OverflowError:
            return math.inf

    def rank(self, rollout: Rollout) -> int:
        """How many usable rollouts have a higher reward: 0 for the best, equals share a rank."""
        own = reward_of(rollout)
        return sum(reward_of(other) > own for other in self.rejected)


class Strategy(Protocol):
    """Picks pairs from a pool, best first; deterministic, a random one by its seed and `pool.prompt_id`. With nothing
    to pick it returns the reason instead, a stable name of `funnel.REASONS`. A pair never has the same rollout on both
    sides.

    A frozen dataclass: its fields are its parameters, each with a default, checked in `__post_init__` (UsageError).
    A field named `min_gap` or `seed` takes the settings' value unless the specification gives its own.
    """

    name: ClassVar[str]

    def pick(self, pool: Pool) -> Sequence[Choice] | str: ...


def reward_of(rollout: Rollout) -> float:
    """The reward of a usable rollout."""
    if rollout.reward is None:
        raise ValueError(f"{rollout.path}: a rollout without reward reached a strategy (byte {rollout.offset})")
    return rollout.reward
