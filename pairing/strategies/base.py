"""What a strategy is: a policy that picks pairs from the usable rollouts of one prompt.

What is usable, and what may stand on which side, is decided before, by the guards; which of the picked pairs stay,
after it, by the pair guards.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

from pairing.reading.rollouts import Rollout

__all__ = ["REWARD", "Choice", "Pool", "Strategy", "drawn", "ranked", "reward_of"]

REWARD: Any = attrgetter("reward")
"""`reward_of` as a sort key: without its check, which costs more than the rest of a comparison."""


class Choice(NamedTuple):
    """One candidate pair: two rollouts of one prompt. `rule` names the strategy that picked it, where the strategy that
    was asked left that to another (`auto`)."""

    chosen: Rollout
    rejected: Rollout
    rule: str = ""

    @property
    def gap(self) -> float:
        """Chosen reward minus rejected reward, in plain floats."""
        return reward_of(self.chosen) - reward_of(self.rejected)


@dataclass(frozen=True, slots=True)
class Pool:
    """The usable rollouts of one prompt, by rollout index, all with a finite reward and not all with the same one.
    `chosen` may stand on the chosen side, `rejected` on the rejected side, neither is empty; most stand in both.
    `prompt_id` is what a random policy mixes into its draw, so that the order of prompts changes nothing."""

    chosen: Sequence[Rollout]
    rejected: Sequence[Rollout]
    prompt_id: str = ""
    every: Sequence[Rollout] | None = None
    """All usable rollouts, where that is more than `rejected`."""

    @property
    def usable(self) -> Sequence[Rollout]:
        """All usable rollouts: what means, spreads and ranks are taken over."""
        return self.rejected if self.every is None else self.every

    @property
    def mean(self) -> float:
        """Mean reward of the usable rollouts."""
        rewards, count = [reward_of(rollout) for rollout in self.usable], len(self.usable)
        try:
            return math.fsum(rewards) / count
        except OverflowError:  # their sum is no float; that of their shares is
            return math.fsum(reward / count for reward in rewards)

    @property
    def std(self) -> float:
        """Standard deviation (of the population) of their rewards: over 0 where they differ; it may be infinite."""
        mean, count = self.mean, len(self.usable)
        away = [reward_of(rollout) - mean for rollout in self.usable]
        try:
            found = math.sqrt(math.fsum(one**2 for one in away) / count)
        except OverflowError:
            return math.inf
        return found or _tiny_spread(away)

    def rank(self, rollout: Rollout) -> int:
        """How many usable rollouts have a higher reward: 0 for the best, equals share a rank."""
        own = reward_of(rollout)
        return sum(reward_of(other) > own for other in self.usable)


class Strategy(Protocol):
    """Picks pairs from a pool, best first; deterministic, a random one by its seed and `pool.prompt_id`. With nothing
    to pick it returns the reason instead, a stable name of `funnel.REASONS`. The chosen side of a pair is one of
    `pool.chosen`, the rejected side one of `pool.rejected` with a lower reward.

    A frozen dataclass: its fields are its parameters, each with a default, checked in `__post_init__` (UsageError).
    A field named `min_gap` or `seed` takes the settings' value unless the specification gives its own; a strategy
    without `min_gap` has the smallest gap asked of its pairs by a guard.
    """

    @property
    def name(self) -> str:
        """A class variable of each strategy here; of a user's function its specification."""
        ...

    def pick(self, pool: Pool) -> Sequence[Choice] | str: ...


def reward_of(rollout: Rollout) -> float:
    """The reward of a usable rollout."""
    if rollout.reward is None:
        raise ValueError(f"{rollout.path}: a rollout without reward reached a strategy (byte {rollout.offset})")
    return rollout.reward


def ranked(rollouts: Iterable[Rollout]) -> list[Rollout]:
    """By reward, highest first, among equals by rollout index: the first is what best_worst chooses, and the last what
    it rejects."""
    return sorted(rollouts, key=_rank_key)


def _tiny_spread(away: Sequence[float]) -> float:
    """The deviation of rewards so near to each other that the squares of their distances are no floats: those of the
    distances' shares are. 0 for equal ones alone."""
    most = max(map(abs, away))
    if not most:
        return 0.0
    return max(most * math.sqrt(math.fsum((one / most) ** 2 for one in away) / len(away)), math.ulp(0.0))


def _rank_key(rollout: Rollout) -> tuple[float, int]:
    return -reward_of(rollout), rollout.rollout_index or 0


def drawn(choices: Iterable[Choice], most: int, seed: int, prompt_id: str) -> list[Choice]:
    """At most `most` of the choices, each set of them as likely as any other. What is drawn depends on the seed, the
    prompt and the rollout indices alone: a hash orders them, the same on every machine and Python."""

    def lot(choice: Choice) -> bytes:
        text = f"{seed}:{prompt_id}:{choice.chosen.rollout_index}:{choice.rejected.rollout_index}"
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()

    return sorted(choices, key=lot)[:most]
