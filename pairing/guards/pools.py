"""Pool guards: what keeps a whole prompt from giving a pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pairing.reading.decided import asked_for
from pairing.reading.rollouts import Rollout

__all__ = ["Members", "TwoDiffer"]


@dataclass(frozen=True, slots=True)
class Members:
    """Prompts with fewer rollouts than asked for: than `wanted`, or than the number at which early stop ended them.
    Reasons: `too_few_rollouts` under 2, `incomplete`."""

    wanted: int = 2

    def fault(self, rollouts: Sequence[Rollout], usable: Sequence[Rollout]) -> str | None:
        if len(rollouts) < 2:
            return "too_few_rollouts"
        if len(rollouts) >= self.wanted:
            return None
        asked = asked_for(rollouts[0].path, rollouts[0].row.task_index)
        return None if asked is not None and len(rollouts) >= asked else "incomplete"


@dataclass(frozen=True, slots=True)
class TwoDiffer:
    """Two usable rollouts, and not all of one reward. Reasons: `too_few_usable`, `all_equal`."""

    def fault(self, rollouts: Sequence[Rollout], usable: Sequence[Rollout]) -> str | None:
        if len(usable) < 2:
            return "too_few_usable"
        first = usable[0].reward
        for rollout in usable:
            if rollout.reward != first:
                return None
        return "all_equal"
