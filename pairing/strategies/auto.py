"""The strategy `auto`: for each prompt the rule that its number of answers and its rewards ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pairing.strategies.base import Choice, Pool, Strategy, reward_of
from pairing.strategies.best_worst import BestWorst
from pairing.strategies.mu_sigma import MuSigma
from pairing.strategies.several import CorrectIncorrect

__all__ = ["Auto"]

_MANY = 16


@dataclass(frozen=True, slots=True)
class Auto:
    """Rewards of 0 and 1 alone: `correct_incorrect`, one pair drawn, as best and worst would be a tie broken by rollout
    index. Else 16 usable answers and more: `mu_sigma`. Else `best_worst`.

    best_worst gains up to some 8 answers and loses as they grow (arXiv 2502.16825); between 8 and 16 nothing better is
    known, so it stays. Decided for each prompt by its own usable rollouts, so that no order of lines or prompts changes
    a pair; a pair's record names the rule that picked it, and the report counts them. One pair a prompt under every
    rule, so that no kind of prompt outweighs another.
    """

    seed: int = 0
    name: ClassVar[str] = "auto"
    why: ClassVar[Mapping[str, str]] = {
        "best_worst": f"fewer than {_MANY} usable answers",
        "correct_incorrect": "rewards of 0 and 1 alone",
        "mu_sigma": f"{_MANY} usable answers or more",
    }
    """When each rule is taken, for the report."""

    def pick(self, pool: Pool) -> Sequence[Choice] | str:
        rule = self.rule(pool)
        picked = rule.pick(pool)
        return picked if isinstance(picked, str) else [choice._replace(rule=rule.name) for choice in picked]

    def rule(self, pool: Pool) -> Strategy:
        """The strategy for this prompt."""
        if all(reward_of(rollout) in (0, 1) for rollout in pool.usable):
            return CorrectIncorrect(k=1, seed=self.seed)
        return MuSigma() if len(pool.usable) >= _MANY else BestWorst(min_gap=0)
