"""The strategy `mu_sigma`: the best against a bad answer that is not the very worst."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from pairing.strategies.base import Choice, Pool, ranked, reward_of
from pairing.strategies.numbers import finite

__all__ = ["MuSigma"]


@dataclass(frozen=True, slots=True)
class MuSigma:
    """The highest reward against the one nearest to mean - `k` standard deviations of the prompt's usable rewards.

    arXiv 2502.16825: as repeats grow, the minimum becomes an outlier that teaches less, and the sample nearest to
    mean - 2 sigma goes on to improve. For 16 repeats and more; with few it is the worst most of the time. The deviation
    is that of the population. Of two rewards equally near the lower is rejected, among equals the highest rollout
    index.

    Reason: `no_better_chosen` when the best that may be chosen is not above it.
    """

    k: float = 2.0
    name: ClassVar[str] = "mu_sigma"

    def __post_init__(self) -> None:
        finite("mu_sigma", "k", self.k)

    def pick(self, pool: Pool) -> Sequence[Choice] | str:
        best = ranked(pool.chosen)[0]
        lower = [rollout for rollout in ranked(pool.rejected) if reward_of(rollout) < reward_of(best)]
        if not lower:
            return "no_better_chosen"
        aim = pool.mean - self.k * pool.std
        # From the worst up, and min keeps the first of equals.
        return (Choice(best, min(reversed(lower), key=lambda rollout: abs(reward_of(rollout) - aim))),)
