"""One pass over the groups: what each adds to every number. Nothing is kept of a group but the few that are listed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from collector.errors import UsageError
from collector.records.spread import Spread
from pairing.messages import answer_text
from pairing.outcomes import Outcome, Policy, pair_group
from pairing.pairs import Pair
from pairing.reading.groups import Group, NotInOrder, groups_by_index, groups_in_order
from pairing.reading.positional import groups_by_position
from pairing.reading.rollouts import BrokenLine, Rollout
from pairing.reports.funnel import PairReport, Tally
from pairing.settings import MEBIBYTE, PairSettings
from pairing.stats.histogram import Histogram
from pairing.stats.lengths import Lengths
from pairing.stats.passes import Passes
from pairing.stats.prompts import PromptList
from pairing.stats.usage import Usage
from pairing.stats.variety import Variety

__all__ = ["Asked", "Numbers", "StatsReport", "gather"]

_NO_ANSWER = frozenset({"filtered", "failed", "unreadable"})
"""Faults of rollouts that nothing is told of. An empty or a truncated answer was judged like any other."""
_SUM_ROUNDING = 1e-9
"""A mix of verifiers may give 0.9999999999999999 where it means 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What counts as a success and as a failure, and how many prompts are listed of either kind. Raises UsageError."""

    success: float = 1.0
    """The lowest reward of a success. Fixed, not the highest reward seen: runs are to be compared."""
    failure: float = 0.0
    """The highest reward of a failure."""
    listed: int = 5

    def __post_init__(self) -> None:
        if not (math.isfinite(self.success) and math.isfinite(self.failure)):
            raise UsageError(f"--success {self.success:g}, --failure {self.failure:g}: give numbers")
        if self.success <= self.failure:
            raise UsageError(f"--success {self.success:g}: give more than --failure ({self.failure:g})")
        if self.listed < 0:
            raise UsageError(f"--list {self.listed}: give 0 or more")

    def succeeds(self, reward: float) -> bool:
        return reward >= self.success - _SUM_ROUNDING

    def fails(self, reward: float) -> bool:
        return reward <= self.failure + _SUM_ROUNDING


@dataclass(slots=True)
class Numbers:
    """Everything but the funnel, while it grows. A prompt is *judged* when two of its answers have rewards."""

    asked: Asked
    saturated: PromptList
    hopeless: PromptList
    rewards: Histogram = field(default_factory=Histogram)
    """Of all judged answers, empty and truncated ones too."""
    reward_spread: Spread = field(default_factory=Spread)
    stds: Histogram = field(default_factory=Histogram)
    """Standard deviation (of the population) of each judged prompt's rewards."""
    std_spread: Spread = field(default_factory=Spread)
    gaps: Histogram = field(default_factory=Histogram)
    """Of the pairs."""
    judged: int = 0
    all_same: int = 0
    """Judged prompts whose rewards are all equal."""
    answers: int = 0
    truncated: int = 0
    side_truncated: list[int] = field(default_factory=lambda: [0, 0])
    """Pairs whose chosen side, and whose rejected side, was cut at the token limit."""
    passes: Passes = field(default_factory=Passes)
    lengths: Lengths = field(default_factory=Lengths)
    variety: Variety = field(default_factory=Variety)
    usage: Usage = field(default_factory=Usage)

    def add(self, outcome: Outcome) -> None:
        """Count one group."""
        for rollout in outcome.group.rollouts:
            self.usage.add(rollout)
        barred = {id(rollout) for rollout, fault in outcome.faults if fault in _NO_ANSWER}
        answers = [rollout for rollout in outcome.group.rollouts if id(rollout) not in barred]
        self.answers += len(answers)
        self.truncated += sum(rollout.truncated for rollout in answers)
        texts = {id(rollout): text for rollout in answers if (text := _text(rollout)) is not None}
        self.variety.add(list(texts.values()))
        self._add_rewards(outcome.group, answers, texts)
        for kept in outcome.kept:
            self._add_pair(kept.pair)

    def _add_rewards(self, group: Group, answers: Sequence[Rollout], texts: dict[int, str]) -> None:
        rewards = [rollout.reward for rollout in answers if rollout.reward is not None]
        for reward in rewards:
            self.rewards.add(reward)
        deviation = self.reward_spread.add(rewards)
        self.passes.add(len(rewards), sum(map(self.asked.succeeds, rewards)))
        read = [(r.reward, len(texts[id(r)])) for r in answers if r.reward is not None and id(r) in texts]
        self.lengths.add_prompt([reward for reward, _ in read], [length for _, length in read])
        if len(rewards) < 2:
            return
        self.judged += 1
        self.all_same += min(rewards) == max(rewards)
        self.stds.add(deviation)
        self.std_spread.add_one(deviation)
        if all(map(self.asked.succeeds, rewards)):
            self.saturated.add(group, rewards)
        elif all(map(self.asked.fails, rewards)):
            self.hopeless.add(group, rewards)

    def _add_pair(self, pair: Pair) -> None:
        self.gaps.add(pair.gap)
        self.side_truncated[0] += pair.chosen.truncated
        self.side_truncated[1] += pair.rejected.truncated
        chosen, rejected = _text(pair.chosen), _text(pair.rejected)
        if chosen is not None and rejected is not None:
            self.lengths.add_pair(len(chosen), len(rejected))


@dataclass(frozen=True, slots=True)
class StatsReport:
    """The funnel of the pairs that the same flags give `pairmill pair`, and the numbers beside it."""

    funnel: PairReport
    numbers: Numbers


def gather(
    files: Sequence[Path],
    settings: PairSettings,
    asked: Asked,
    saturated: BinaryIO | None = None,
    hopeless: BinaryIO | None = None,
) -> StatsReport:
    """Reads `files` (see `reading.input_files`) once where they are in task order, else as `build` does. The two open
    files get the prompts of either kind. Raises InputError."""
    policy = settings.policy()
    lists = PromptList(asked.listed, saturated), PromptList(asked.listed, hopeless)
    numbers, tally, passes = Numbers(asked, *lists), Tally(), 1
    try:
        if settings.group_size is None:
            _add_all(groups_in_order(files, tally.read), policy, tally, numbers)
        else:
            _add_all(groups_by_position(files, settings.group_size, tally.read), policy, tally, numbers)
    except NotInOrder:
        for found in lists:
            found.restart()
        numbers, tally, passes = Numbers(asked, *lists), Tally(), 2
        _add_all(groups_by_index(files, tally.read, settings.index_memory * MEBIBYTE), policy, tally, numbers)
    return StatsReport(tally.report(output=Path(), policy=policy, passes=passes), numbers)


def _add_all(groups: Iterable[Group], policy: Policy, tally: Tally, numbers: Numbers) -> None:
    for group in groups:
        outcome = pair_group(group, policy)
        tally.add(outcome)
        numbers.add(outcome)


def _text(rollout: Rollout) -> str | None:
    try:
        return answer_text(rollout)
    except (BrokenLine, RecursionError):
        return None
