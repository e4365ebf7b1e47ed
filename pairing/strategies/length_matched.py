"""The strategy `length_matched`: short good answers against long bad ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pairing.messages import answer_text
from pairing.reading.rollouts import Rollout
from pairing.strategies.base import Choice, Pool, ranked, reward_of
from pairing.strategies.numbers import between

__all__ = ["LengthMatched"]


@dataclass(frozen=True, slots=True)
class LengthMatched:
    """The shortest answer with a reward near the top against the longest with one near the bottom.

    Meta-Rewarding (arXiv 2407.19594), against answers that grow longer with each round. Near the top is a reward of at
    least (1 - rho) * best + rho * worst, near the bottom one of at most (1 - rho) * worst + rho * best, where best and
    worst are those that may be chosen and rejected. rho = 0 leaves it to break ties alone. Length is that of the final
    text, in characters. Among equals best_worst's order decides.

    Reason: `no_better_chosen` when nothing that may be chosen beats the worst.
    """

    rho: float = 0.2
    name: ClassVar[str] = "length_matched"

    def __post_init__(self) -> None:
        between("length_matched", "rho", self.rho, 0, 0.5)

    def pick(self, pool: Pool) -> Sequence[Choice] | str:
        down, up = ranked(pool.chosen), ranked(pool.rejected)[::-1]
        best, worst = reward_of(down[0]), reward_of(up[0])
        if best <= worst:
            return "no_better_chosen"
        # min and max: rounding must not shut the best and the worst themselves out
        top = min((1 - self.rho) * best + self.rho * worst, best)
        bottom = max((1 - self.rho) * worst + self.rho * best, worst)
        chosen = min((rollout for rollout in down if reward_of(rollout) >= top), key=_length)
        rejected = max((rollout for rollout in up if reward_of(rollout) <= bottom), key=_length)
        return (Choice(chosen, rejected),)


def _length(rollout: Rollout) -> int:
    return len(answer_text(rollout))
