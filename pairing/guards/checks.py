"""The guards that stand, as objects in the order in which they are asked; the first that objects gives the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pairing.guards.base import PairGuard, PoolGuard, SampleGuard, SideGuard
from pairing.reading.rollouts import Rollout
from pairing.strategies.base import Pool

__all__ = ["Checks"]


@dataclass(frozen=True, slots=True)
class Checks:
    """What `Guards.checks` makes: rollouts are asked `samples`, prompts `pools`, then the usable rollouts `chosen` and
    `rejected` for each side, then picked pairs `pairs`."""

    samples: tuple[SampleGuard, ...]
    pools: tuple[PoolGuard, ...]
    chosen: tuple[SideGuard, ...]
    rejected: tuple[SideGuard, ...]
    pairs: tuple[PairGuard, ...]

    def pool(self, usable: Sequence[Rollout], prompt_id: str) -> Pool | str:
        """What the strategy picks from; the reason when a side is left without any."""
        chosen, reason = _side(usable, self.chosen)
        if reason is not None:
            return reason
        if not self.rejected:
            return Pool(chosen, usable, prompt_id)
        rejected, reason = _side(usable, self.rejected)
        return Pool(chosen, rejected, prompt_id, usable) if reason is None else reason

    def barred(self, rollout: Rollout) -> tuple[str | None, str | None]:
        """Why a usable rollout may not be chosen, and why not rejected; None where it may."""
        sides = (self.chosen, self.rejected)
        first = [next((guard.reason for guard in side if not guard.allowed([rollout])), None) for side in sides]
        return first[0], first[1]


def _side(usable: Sequence[Rollout], guards: Sequence[SideGuard]) -> tuple[Sequence[Rollout], str | None]:
    """Those whom all guards allow; with the reason of the guard that turned the last away, when none is left."""
    for guard in guards:
        usable = guard.allowed(usable)
        if not usable:
            return usable, guard.reason
    return usable, None
