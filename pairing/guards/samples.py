"""Sample guards: what makes one rollout unusable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pairing.messages import PLAINLY_SPEAKS, is_empty
from pairing.reading.rollouts import Rollout, failed

__all__ = ["FiniteReward", "NotEmpty", "NotFailed", "NotTruncated"]


@dataclass(frozen=True, slots=True)
class NotFailed:
    """Rows marked as failures: their reward, if any, is no verdict. Reason `failed`."""

    def clears(self, rollouts: Sequence[Rollout]) -> bool:
        for rollout in rollouts:
            row = rollout.row
            response = row.response
            if row.failure_class or (response is not None and (len(response.status) or len(response.error))):
                return False
        return True

    def fault(self, rollout: Rollout) -> str | None:
        return "failed" if failed(rollout.row) else None


@dataclass(frozen=True, slots=True)
class FiniteReward:
    """A reward is a finite number. Reasons: `no_reward`, `reward_...`, see `rollouts.read_reward`."""

    def clears(self, rollouts: Sequence[Rollout]) -> bool:
        return not [1 for rollout in rollouts if rollout.reward_fault is not None]

    def fault(self, rollout: Rollout) -> str | None:
        return rollout.reward_fault


@dataclass(frozen=True, slots=True)
class NotEmpty:
    """Answers in which the model neither says nor calls anything. Reason `empty_text`."""

    def clears(self, rollouts: Sequence[Rollout]) -> bool:
        return not [1 for rollout in rollouts if PLAINLY_SPEAKS(rollout.row.output) is None]

    def fault(self, rollout: Rollout) -> str | None:
        return "empty_text" if is_empty(rollout) else None


@dataclass(frozen=True, slots=True)
class NotTruncated:
    """Answers cut at the token limit, where they may stand on neither side. Reason `truncated`."""

    def clears(self, rollouts: Sequence[Rollout]) -> bool:
        return not any(rollout.truncated for rollout in rollouts)

    def fault(self, rollout: Rollout) -> str | None:
        return "truncated" if rollout.truncated else None
