"""What a guard is: a small object that says why something is kept out, under a stable name of `funnel.REASONS`.

Four kinds, asked in this order:

1. a sample guard looks at one rollout, before the strategy: the next best takes its place;
2. a pool guard looks at what one prompt has, before the strategy: it drops the prompt;
3. a side guard bars usable rollouts from one side of a pair: it drops the prompt when none is left for the side;
4. a pair guard looks at one picked pair, with the pool it was picked from and the pairs that were kept before it.

Guards count nothing and keep no state between prompts: the order of prompts changes nothing, and a copy of a guard in
another process says the same. `BrokenLine` and `RecursionError` from one are counted as `unreadable`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pairing.reading.rollouts import Rollout
from pairing.strategies.base import Choice, Pool

__all__ = ["PairGuard", "PoolGuard", "SampleGuard", "SideGuard"]


class SampleGuard(Protocol):
    def clears(self, rollouts: Sequence[Rollout]) -> bool:
        """True when none of these is at fault, told at a glance: one call for a prompt where `fault` takes one for
        each rollout. False when a closer look is needed; a guard without such a glance always says so."""
        ...

    def fault(self, rollout: Rollout) -> str | None:
        """Why this rollout is not usable; None when it is."""
        ...


class PoolGuard(Protocol):
    def fault(self, rollouts: Sequence[Rollout], usable: Sequence[Rollout]) -> str | None:
        """Why the prompt with these rollouts, of which some are usable, gives no pair; None when it may."""
        ...


class SideGuard(Protocol):
    @property
    def reason(self) -> str:
        """Why a prompt has nothing for the side, when this guard turned the last away."""
        ...

    def allowed(self, rollouts: Sequence[Rollout]) -> Sequence[Rollout]:
        """Those that may stand on the side, in their order."""
        ...


class PairGuard(Protocol):
    def fault(self, choice: Choice, pool: Pool, kept: Sequence[Choice]) -> str | None:
        """Why this pair is refused; None when it stays. `kept` are the prompt's pairs that passed all pair guards
        before it: caps count them."""
        ...
