"""What a user's own strategy sees of a prompt: a small, stable view, apart from the tool's own objects.

def pick(prompt):                                   # --strategy mine:pick, or ./mine.py:pick
    best = max(prompt.chosen, key=lambda rollout: rollout.reward)
    return [(best, other) for other in prompt.rejected if other.length > best.length]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pairing.filters.rows import row_fields
from pairing.messages import answer, answer_text, prompt, prompt_text
from pairing.reading.rollouts import Rollout
from pairing.strategies.base import Pool, reward_of

__all__ = ["PromptView", "RolloutView"]


class RolloutView:
    """One usable rollout. Everything is read when it is asked for, and once."""

    def __init__(self, rollout: Rollout) -> None:
        self._rollout = rollout

    @property
    def index(self) -> int:
        """The rollout index, by which a pair may name it."""
        return self._rollout.rollout_index or 0

    @property
    def reward(self) -> float:
        """Always a finite number."""
        return reward_of(self._rollout)

    @property
    def finish_reason(self) -> str | None:
        """As the row has it; None when it has none."""
        return self._rollout.row.finish_reason

    @property
    def truncated(self) -> bool:
        """Whether the answer hit its token limit, in either interface's words."""
        return self._rollout.truncated

    @cached_property
    def text(self) -> str:
        """The final text; the calls as JSON where there is none."""
        return answer_text(self._rollout)

    @property
    def length(self) -> int:
        """Of `text`, in characters."""
        return len(self.text)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The answer as Chat messages; not to be changed."""
        return answer(self._rollout)

    @cached_property
    def row(self) -> dict[str, Any]:
        """All fields of the row, as its line has them."""
        return row_fields(self._rollout)

    def __repr__(self) -> str:
        return f"RolloutView(index={self.index}, reward={self.reward:g})"


@dataclass(frozen=True)
class PromptView:
    """One prompt with its usable rollouts, by rollout index: iterate over it, or take a side."""

    prompt_id: str
    rollouts: tuple[RolloutView, ...]
    chosen: tuple[RolloutView, ...]
    """Those that may stand on the chosen side."""
    rejected: tuple[RolloutView, ...]
    """Those that may stand on the rejected side."""
    _first: Rollout

    @classmethod
    def of(cls, pool: Pool) -> PromptView:
        views = {id(rollout): RolloutView(rollout) for rollout in pool.usable}
        sides = [tuple(views[id(rollout)] for rollout in side) for side in (pool.chosen, pool.rejected)]
        return cls(pool.prompt_id, tuple(views.values()), sides[0], sides[1], pool.usable[0])

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The prompt as Chat messages; not to be changed."""
        return prompt(self._first)

    @property
    def text(self) -> str:
        """The prompt for a reader."""
        return prompt_text(self._first)

    def __iter__(self) -> Iterator[RolloutView]:
        return iter(self.rollouts)

    def __len__(self) -> int:
        return len(self.rollouts)
