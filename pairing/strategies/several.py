"""Strategies that make several pairs of a prompt: `adjacent`, `all_above_gap`, `correct_incorrect`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from pairing.reading.rollouts import Rollout
from pairing.strategies.base import Choice, Pool, drawn, ranked, reward_of
from pairing.strategies.numbers import between, finite, positive

__all__ = ["Adjacent", "AllAboveGap", "CorrectIncorrect"]


@dataclass(frozen=True, slots=True)
class Adjacent:
    """Neighbours in rank: each reward against the next lower one.

    All the order that the rewards tell, in as few pairs as can hold it (in use with UltraFeedback's and RLHFlow's
    ranked answers). Equal rewards are one rank: its lowest rollout index is chosen, its highest rejected.

    Reason: `no_better_chosen` when no rank has both sides.
    """

    name: ClassVar[str] = "adjacent"

    def pick(self, pool: Pool) -> Sequence[Choice] | str:
        chosen: dict[float, Rollout] = {}
        for rollout in ranked(pool.chosen):
            chosen.setdefault(reward_of(rollout), rollout)
        rejected = {reward_of(rollout): rollout for rollout in ranked(pool.rejected)}  # the last of equals stays
        steps = pairwise(sorted(set(map(reward_of, pool.usable)), reverse=True))
        found = [Choice(chosen[high], rejected[low]) for high, low in steps if high in chosen and low in rejected]
        return found or "no_better_chosen"


@dataclass(frozen=True, slots=True)
class AllAboveGap:
    """Every pair whose rewards lie far enough apart, the widest gaps first, at most `cap` of a prompt.

    RS-DPO (arXiv 2402.10038): a pair is kept when sigma((ri - rj) / tau) > eta, where sigma is the logistic function;
    that is a gap over tau * ln(eta / (1 - eta)). `min_gap` is asked too. With the defaults (tau 1, eta 0.5) it alone
    decides. The cap is not the paper's: a prompt of 16 has up to 120 pairs, and would outweigh the others.

    Reasons: `no_better_chosen`; `gap_below_min` when no pair lies far enough apart.
    """

    tau: float = 1.0
    eta: float = 0.5
    cap: int = 8
    min_gap: float = 0.15
    name: ClassVar[str] = "all_above_gap"

    def __post_init__(self) -> None:
        finite("all_above_gap", "tau", self.tau, above=0)
        between("all_above_gap", "eta", self.eta, 0.5, 1)
        positive("all_above_gap", "cap", self.cap)
        finite("all_above_gap", "min_gap", self.min_gap, least=0)

    def pick(self, pool: Pool) -> Sequence[Choice] | str:
        over = self.tau * math.log(self.eta / (1 - self.eta))
        better = list(_better(pool))
        if not better:
            return "no_better_chosen"
        wide = [choice for choice in better if choice.gap > over and choice.gap >= self.min_gap]
        # Stable: among equal gaps the best chosen first, then the worst rejected.
        return sorted(wide, key=lambda choice: -choice.gap)[: self.cap] or "gap_below_min"


@dataclass(frozen=True, slots=True)
class CorrectIncorrect:
    """Rewards of `threshold` and more against those under it, pairs drawn at random, at most `k` of a prompt.

    Iterative RPO (arXiv 2404.19733), which draws 10 pairs of 30 answers whose final result is right or wrong. No pair
    is drawn twice. Drawn by `seed` and the prompt.

    Reason: `one_sided` when all answers that may stand on their side are above the threshold, or all below.
    """

    threshold: float = 0.5
    k: int = 10
    seed: int = 0
    name: ClassVar[str] = "correct_incorrect"

    def __post_init__(self) -> None:
        finite("correct_incorrect", "threshold", self.threshold)
        positive("correct_incorrect", "k", self.k)

    def pick(self, pool: Pool) -> Sequence[Choice] | str:
        right = [rollout for rollout in pool.chosen if reward_of(rollout) >= self.threshold]
        wrong = [rollout for rollout in pool.rejected if reward_of(rollout) < self.threshold]
        pairs = [Choice(one, other) for one in right for other in wrong]
        return drawn(pairs, self.k, self.seed, pool.prompt_id) or "one_sided"


def _better(pool: Pool) -> Iterator[Choice]:
    worst_first = ranked(pool.rejected)[::-1]
    for one in ranked(pool.chosen):
        for other in worst_first:
            if reward_of(other) >= reward_of(one):
                break
            yield Choice(one, other)
