"""How many prompts have a usable pair so far, by their rewards alone, and how many will at the end of the run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from collector.records.rows import PromptRow
from collector.usable import RewardRange, usable

__all__ = ["Expected", "Yields", "expected"]

_Z = 1.96
"""For 95%."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Prompts with a usable pair at the end of the run: the likely number, and where it lies in 95 of 100 runs."""

    likely: int
    low: int
    high: int


def expected(usable_ones: int, finished: int, prompts: int) -> Expected | None:
    """What `usable_ones` of the `finished` prompts let us expect of all; None before the first has finished.

    Wilson's score interval (1927) for the share among the prompts to come. That share differs from the one seen by two
    chances, ours and theirs, whose variances add up: p(1-p) * (1/finished + 1/rest), so the interval is that of a
    sample of 1 / (1/finished + 1/rest) prompts. It takes the prompts to come to be like those that have finished.
    """
    if finished == 0:
        return None
    rest = max(0, prompts - finished)
    if rest == 0:
        return Expected(usable_ones, usable_ones, usable_ones)
    share = usable_ones / finished
    size = finished * rest / (finished + rest)
    shrink = 1 + _Z * _Z / size
    middle = (share + _Z * _Z / (2 * size)) / shrink
    half = _Z / shrink * math.sqrt(share * (1 - share) / size + _Z * _Z / (4 * size * size))
    low = usable_ones + math.floor(rest * max(0.0, middle - half))
    high = usable_ones + math.ceil(rest * min(1.0, middle + half))
    return Expected(usable_ones + round(rest * share), low, high)


class _Prompt:
    """One prompt in progress: its rollouts that have not ended, and the rewards of those that have. `number` is its
    place in the order in which prompts began; None where a resumed run had some of its rollouts before."""

    __slots__ = ("left", "number", "rewards")

    def __init__(self, left: int, number: int | None) -> None:
        self.left = left
        self.number = number
        self.rewards = RewardRange()


class _Cohort:
    """The prompts that began before every one that is still in progress. It speaks for those to come; all that have
    finished would not: whoever has a pair early, or a short answer, finishes early."""

    def __init__(self) -> None:
        self.finished = 0
        self.usable = 0
        self._beyond: dict[int, bool] = {}

    def add(self, number: int, has_pair: bool) -> None:
        """The prompt that began as the `number`th, from 0, has finished."""
        self._beyond[number] = has_pair
        while self.finished in self._beyond:
            self.usable += self._beyond.pop(self.finished)
            self.finished += 1


class Yields:
    """Counts prompts whose rollouts have all ended, and those of them with a usable pair. Memory holds the prompts in
    progress, and a bit of those that finished before an older one.

    A prompt of which a resumed run had some rollouts before is passed over: their rewards are in the file, not here.
    """

    def __init__(
        self,
        prompts: int,
        repeats_of: Callable[[PromptRow], int],
        there_before: Callable[[PromptRow], int],
        gap: float,
        min_chosen: float | None = None,
    ) -> None:
        self.prompts = prompts
        self.finished = 0
        self.usable = 0
        self._repeats_of = repeats_of
        self._there_before = there_before
        self._gap = gap
        self._min_chosen = min_chosen
        self._open: dict[int, _Prompt] = {}
        self._cohort = _Cohort()
        self._begun = 0

    @property
    def expected(self) -> Expected | None:
        """What the prompts that began first, up to the first that is still in progress, let us expect."""
        found = expected(self._cohort.usable, self._cohort.finished, self.prompts)
        if found is None:
            return None
        low, high = self.usable, self.prompts - (self.finished - self.usable)
        return Expected(*(min(max(number, low), high) for number in (found.likely, found.low, found.high)))

    def ended(self, row: PromptRow, reward: float | None) -> None:
        """One rollout of a row came to its end, with a reward or without."""
        prompt = self._open.get(row.task_index)
        if prompt is None:
            prompt = self._begin(row)
        if reward is not None:
            prompt.rewards.add(reward)
        prompt.left -= 1
        if prompt.left <= 0:
            self._finish(row, prompt)

    def fewer(self, row: PromptRow, tasks: int) -> None:
        """So many of a row's rollouts will not come."""
        prompt = self._open.get(row.task_index) or self._begin(row)
        prompt.left -= tasks
        if prompt.left <= 0:
            self._finish(row, prompt)

    def _begin(self, row: PromptRow) -> _Prompt:
        before = self._there_before(row)
        number = None if before else self._begun
        self._begun += number is not None
        prompt = self._open[row.task_index] = _Prompt(self._repeats_of(row) - before, number)
        return prompt

    def _finish(self, row: PromptRow, prompt: _Prompt) -> None:
        del self._open[row.task_index]
        if prompt.number is not None:
            has_pair = usable(prompt.rewards, self._gap, self._min_chosen)
            self.finished += 1
            self.usable += has_pair
            self._cohort.add(prompt.number, has_pair)
