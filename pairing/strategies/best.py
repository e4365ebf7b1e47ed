"""Strategies that set the best rollouts against something else than the worst: `best_random`, `best_second`, and
`nbest_worst`, several best ones against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pairing.strategies.base import Choice, Pool, drawn, ranked, reward_of
from pairing.strategies.numbers import positive

__all__ = ["BestRandom", "BestSecond", "NBestWorst"]


@dataclass(frozen=True, slots=True)
class BestRandom:
    """The highest reward against `n` others drawn at random from all with a lower one, each in a pair of its own.

    What UltraFeedback-binarized does (best completion, random other), with n = 1. The rejected side is easier to tell
    from the worst than from the rest; here it is a typical answer. Drawn by `seed` and the prompt.

    Reason: `no_better_chosen` when nothing has a lower reward than the best that may be chosen.
    """

    n: int = 1
    seed: int = 0
    name: ClassVar[str] = "best_random"

    def __post_init__(self) -> None:
        positive("best_random", "n", self.n)

    def pick(self, pool: Pool) -> Sequence[Choice] | str:
        best = ranked(pool.chosen)[0]
        others = [Choice(best, other) for other in pool.rejected if reward_of(other) < reward_of(best)]
        return drawn(others, self.n, self.seed, pool.prompt_id) or "no_better_chosen"


@dataclass(frozen=True, slots=True)
class BestSecond:
    """The highest reward against the second highest: the hardest pair that the prompt has.

    One of the ways to binarize ranked answers that are in use (UltraFeedback, RLHFlow). Those that share the highest
    reward are passed over; of several second ones the highest rollout index is rejected.

    Reason: `no_better_chosen` when nothing has a lower reward than the best that may be chosen.
    """

    name: ClassVar[str] = "best_second"

    def pick(self, pool: Pool) -> Sequence[Choice] | str:
        best = ranked(pool.chosen)[0]
        lower = [other for other in pool.rejected if reward_of(other) < reward_of(best)]
        if not lower:
            return "no_better_chosen"
        return (Choice(best, max(reversed(ranked(lower)), key=reward_of)),)


@dataclass(frozen=True, slots=True)
class NBestWorst:
    """The `n` highest rewards, each against the lowest.

    As ms-swift samples its pairs. More pairs from each prompt, which all share their rejected side. Among equals the
    lowest rollout indices are chosen and the highest is rejected.

    Reason: `no_better_chosen` when nothing that may be chosen beats the worst.
    """

    n: int = 2
    name: ClassVar[str] = "nbest_worst"

    def __post_init__(self) -> None:
        positive("nbest_worst", "n", self.n)

    def pick(self, pool: Pool) -> Sequence[Choice] | str:
        worst = ranked(pool.rejected)[-1]
        better = [rollout for rollout in ranked(pool.chosen) if reward_of(rollout) > reward_of(worst)]
        return tuple(Choice(rollout, worst) for rollout in better[: self.n]) or "no_better_chosen"
