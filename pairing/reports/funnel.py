"""The funnel: what came in, what came out, and the reason of everything that did not. It adds up, always.

lines    = broken + each of `line_drops` + rollouts
rollouts = duplicates + each of `sample_drops` + usable
groups   = paired + each of `group_drops`
picked   = pairs + each of `pair_drops`
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from collector.records.spread import Spread
from pairing.filters.effect import FilterEffect
from pairing.guards.pairs import MinGap
from pairing.messages import answer_text, prompt_text
from pairing.outcomes import Outcome, Policy
from pairing.pairs import Pair
from pairing.reading.files import ReadTally
from pairing.reading.plain_rows import PlainRow
from pairing.reading.rollouts import BrokenLine, Rollout, present, read_reward
from pairing.reports.reasons import REASONS
from pairing.strategies.best_worst import BestWorst

__all__ = ["REASONS", "PairReport", "PlainOutcome", "SamplePair", "Tally", "deviation"]

_ALL_COUNTED = 2000
_ONE_IN = 16
_WAITING = 4096
_VALUES_TOLD = 3
_REPLY = 1000


@dataclass(frozen=True, slots=True)
class SamplePair:
    """One pair as text, to be shown. Straight from the model: to be cleaned before it reaches a terminal."""

    prompt_id: str
    task_index: int | None
    prompt: str
    chosen: str
    rejected: str
    chosen_reward: float
    rejected_reward: float
    gap: float

    @classmethod
    def of(cls, pair: Pair) -> SamplePair:
        return cls(
            prompt_id=pair.prompt_id,
            task_index=pair.task_index,
            prompt=prompt_text(pair.chosen),
            chosen=answer_text(pair.chosen),
            rejected=answer_text(pair.rejected),
            chosen_reward=pair.chosen.reward or 0.0,
            rejected_reward=pair.rejected.reward or 0.0,
            gap=pair.gap,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PairReport:
    """What a pairing run did. Counters are by reason name, without zeros."""

    output: Path
    strategy: str
    format: str
    passes: int
    """1 when the input came in task order, 2 when it did not."""
    lines: int
    broken: int
    broken_shown: tuple[str, ...]
    """The first five broken lines, `file:line: what is wrong`."""
    line_drops: Mapping[str, int]
    rollouts: int
    duplicates: int
    sample_drops: Mapping[str, int]
    usable: int
    truncated: int
    """Usable rollouts that hit their token limit."""
    groups: int
    paired: int
    group_drops: Mapping[str, int]
    picked: int
    pairs: int
    pair_drops: Mapping[str, int]
    rewards: Spread
    """Of usable rollouts."""
    reward_values: int
    """Different rewards among them: 0, 1, 2, or 3 for more."""
    temperatures: Spread
    """Those that usable rollouts were asked for with, where their rows say so."""
    within_std: float
    """Standard deviation of the rewards of a prompt, the mean over prompts with 2 usable rollouts."""
    gaps: Spread
    """Of the pairs written."""
    min_gap: float | None
    """The smallest gap of a pair in rewards; None where there is none, or where it is measured otherwise."""
    close_gaps: Spread
    """Best minus worst of the prompts that were dropped as `gap_below_min`."""
    distinct: float
    """Different answers among a prompt's usable rollouts, the mean over the sampled prompts (0.0 without any)."""
    distinct_of: float
    """Usable rollouts of a prompt, the mean over the same prompts."""
    reply: str
    """The last line of the first usable answer, as the model wrote it; empty when it cannot be read."""
    sample: SamplePair | None
    """The pair of the widest gap, the first among equals."""
    picked_by: Mapping[str, int] = field(default_factory=dict)
    """Pairs by the strategy that picked them; several for `auto`."""
    filtered: FilterEffect = field(default_factory=FilterEffect)
    """What `--where` left out on either side."""
    adapted: Mapping[str, int] = field(default_factory=dict)
    """Pairs that `--unfit` changed so that the format holds them, by what was done."""
    outputs: tuple[Path, ...] = ()
    """The files written: one, or train and validation."""
    rows: tuple[int, ...] = ()
    """Rows of each; a format may make two of a pair."""
    beside: tuple[Path, ...] = ()
    """What was written beside them: a card, dataset_info.json."""

    @property
    def written(self) -> bool:
        """False when the input held no rollout, and the output was left as it was."""
        return self.groups > 0

    @property
    def pair_yield(self) -> float:
        """Share of prompts that gave a pair; 0.0 without prompts."""
        return self.paired / self.groups if self.groups else 0.0


@dataclass(slots=True)
class PlainOutcome:
    """What became of a group of plain rows, all usable: a pair of two of them by best_worst, or the reason of none."""

    rewards: list[float]
    deviation: float
    cut: int
    """Answers that were cut short."""
    reason: str | None = None
    best: int = 0
    worst: int = 0
    gap: float = 0.0


@dataclass(slots=True)
class Tally:
    """The report while it grows."""

    read: ReadTally = field(default_factory=ReadTally)
    sampled: bool = False
    """True when others counted the first prompts."""
    members: int = 0
    duplicates: int = 0
    sample_drops: Counter[str] = field(default_factory=Counter)
    usable: int = 0
    truncated: int = 0
    groups: int = 0
    paired: int = 0
    group_drops: Counter[str] = field(default_factory=Counter)
    picked: int = 0
    pairs: int = 0
    pair_drops: Counter[str] = field(default_factory=Counter)
    rewards: Spread = field(default_factory=Spread)
    reward_values: set[float] = field(default_factory=set)
    waiting_rewards: list[float] = field(default_factory=list)
    waiting_deviations: list[float] = field(default_factory=list)
    waiting_gaps: list[float] = field(default_factory=list)
    """Not yet in `rewards`, `within` and `gaps`: some thousand at once cost less than one by one."""
    heats: dict[bytes, int] = field(default_factory=dict)
    """The temperatures that usable rollouts were asked for with, as their rows write them, and how often each."""
    plain_heats: dict[float | None, int] = field(default_factory=dict)
    """Those of plain rows, as numbers."""
    temperatures: Spread = field(default_factory=Spread)
    within: Spread = field(default_factory=Spread)
    gaps: Spread = field(default_factory=Spread)
    close_gaps: Spread = field(default_factory=Spread)
    distinct: Spread = field(default_factory=Spread)
    distinct_of: Spread = field(default_factory=Spread)
    reply: str | None = None
    sample: SamplePair | None = None
    picked_by: Counter[str] = field(default_factory=Counter)
    filtered: FilterEffect = field(default_factory=FilterEffect)

    def add(self, outcome: Outcome) -> None:
        """Count what became of one group; groups come in their order."""
        group, usable = outcome.group, outcome.usable
        self.groups += 1
        self.members += len(group.rollouts)
        self.duplicates += group.duplicates
        self.usable += len(usable)
        if outcome.faults:
            self.sample_drops.update([fault for _, fault in outcome.faults])
            self.filtered.add(outcome.group.rollouts, [r for r, fault in outcome.faults if fault == "filtered"])
        self._add_usable(usable)
        self.picked += len(outcome.kept) + len(outcome.refused)
        if outcome.refused:
            self.pair_drops.update([fault for _, fault in outcome.refused])
        for kept in outcome.kept:
            self._add_pair(kept.pair)
        if outcome.reason is None:
            self.paired += 1
        else:
            self.group_drops[outcome.reason] += 1
        if outcome.widest is not None:
            self.close_gaps.add_one(outcome.widest)

    def shows(self, outcome: PlainOutcome) -> bool:
        """True when the report is to show a text of this group: `add_plain` does not look for it, `add` does."""
        if self.reply is None:
            return True
        return outcome.reason is None and (self.sample is None or outcome.gap > self.sample.gap)

    def add_plain(self, rows: Sequence[PlainRow], outcome: PlainOutcome) -> None:
        """Count what became of one group of plain rows."""
        count = len(rows)
        self.groups += 1
        self.members += count
        self.usable += count
        self.truncated += outcome.cut
        heats = self.plain_heats
        for row in rows:
            heat = row.params.temperature
            heats[heat] = heats.get(heat, 0) + 1
        self._add_rewards(outcome.rewards, outcome.deviation)
        if self._tells_apart():
            self._add_distinct([bytes(row.output) for row in rows])
        if outcome.reason is None:
            self.paired += 1
            self.picked += 1
            self.pairs += 1
            self.picked_by[BestWorst.name] += 1
            self.waiting_gaps.append(outcome.gap)
            return
        self.group_drops[outcome.reason] += 1
        if outcome.reason == "gap_below_min":
            self.close_gaps.add_one(outcome.gap)

    def _add_usable(self, usable: list[Rollout]) -> None:
        rewards = [rollout.reward for rollout in usable if rollout.reward is not None]
        if self.reply is None and usable:
            self.reply = _last_line(usable[0])
        heats = self.heats
        for rollout in usable:
            row = rollout.row
            if row.finish_reason != "stop" and rollout.truncated:
                self.truncated += 1
            if row.params is not None:
                heat = bytes(row.params.temperature)
                heats[heat] = heats.get(heat, 0) + 1
        self._add_rewards(rewards, deviation(rewards) if len(rewards) > 1 else None)
        if len(usable) > 1 and self._tells_apart():
            self._add_distinct([_answer_key(rollout) for rollout in usable])

    def _add_rewards(self, rewards: list[float], within: float | None) -> None:
        """Those of one group's usable rollouts, and how far they lie apart, when there are two."""
        self.waiting_rewards += rewards
        if len(self.reward_values) < _VALUES_TOLD:
            self.reward_values.update(rewards)
        if len(self.waiting_rewards) > _WAITING:
            self._fold()
        if within is not None:
            self.waiting_deviations.append(within)

    def _tells_apart(self) -> bool:
        """Whether this group's answers are told apart. That means reading them all: past some thousand prompts a sample
        says as much."""
        return (self.groups <= _ALL_COUNTED and not self.sampled) or self.groups % _ONE_IN == 0

    def _add_distinct(self, answers: Sequence[bytes | str]) -> None:
        lengths = set(map(len, answers))  # most often that tells all of them apart
        self.distinct.add_one(len(lengths if len(lengths) == len(answers) else set(answers)))
        self.distinct_of.add_one(len(answers))

    def _add_pair(self, pair: Pair) -> None:
        self.pairs += 1
        self.picked_by[pair.strategy] += 1
        self.waiting_gaps.append(pair.gap)
        if self.sample is None or pair.gap > self.sample.gap:
            with suppress(BrokenLine, RecursionError):  # a format that splices bytes need not have read them
                self.sample = SamplePair.of(pair)

    def _fold(self) -> None:
        """Add what waits to the spreads."""
        self.rewards.add(self.waiting_rewards)
        self.within.add(self.waiting_deviations)
        self.gaps.add(self.waiting_gaps)
        for waiting in (self.waiting_rewards, self.waiting_deviations, self.waiting_gaps):
            waiting.clear()
        for raw, count in self.heats.items():
            heat, _ = read_reward(msgspec.Raw(raw))
            self.plain_heats[heat] = self.plain_heats.get(heat, 0) + count
        for heat in sorted(heat for heat in self.plain_heats if heat is not None):
            self.temperatures.add_same(heat, self.plain_heats[heat])
        self.heats.clear()
        self.plain_heats.clear()

    def report(self, *, output: Path, policy: Policy, passes: int) -> PairReport:
        self._fold()
        return PairReport(
            output=output,
            strategy=policy.strategy.name,
            format=policy.target.name,
            passes=passes,
            lines=self.read.lines,
            broken=self.read.broken,
            broken_shown=tuple(self.read.broken_shown),
            line_drops=dict(self.read.drops),
            rollouts=self.members + self.duplicates,
            duplicates=self.duplicates,
            sample_drops=dict(self.sample_drops),
            usable=self.usable,
            truncated=self.truncated,
            groups=self.groups,
            paired=self.paired,
            group_drops=dict(self.group_drops),
            picked=self.picked,
            pairs=self.pairs,
            pair_drops=dict(self.pair_drops),
            rewards=self.rewards,
            reward_values=min(len(self.reward_values), _VALUES_TOLD),
            temperatures=self.temperatures,
            within_std=self.within.mean,
            gaps=self.gaps,
            min_gap=_least_gap(policy),
            close_gaps=self.close_gaps,
            distinct=self.distinct.mean,
            distinct_of=self.distinct_of.mean,
            reply=self.reply or "",
            sample=self.sample,
            picked_by=dict(self.picked_by),
            filtered=self.filtered,
        )


def _least_gap(policy: Policy) -> float | None:
    """The strategy's own, or that of the guard that asks in its place."""
    guards = (guard.least for guard in policy.checks.pairs if isinstance(guard, MinGap) and guard.kind == "absolute")
    own: float | None = getattr(policy.strategy, "min_gap", None)
    return next(guards, None) if own is None else own


def deviation(rewards: Sequence[float]) -> float:
    """Their standard deviation (of the population)."""
    mean = sum(rewards) / len(rewards)
    squares = 0.0
    for reward in rewards:
        squares += (reward - mean) * (reward - mean)
    return math.sqrt(squares / len(rewards))


def _last_line(rollout: Rollout) -> str:
    """Where most verifiers look for the result; at most 1000 characters of it."""
    try:
        return answer_text(rollout).rstrip().rpartition("\n")[2][:_REPLY]
    except (BrokenLine, RecursionError):
        return ""


def _answer_key(rollout: Rollout) -> bytes | str:
    """Our own `output` holds no ids, so that its bytes tell answers apart; NeMo Gym's items do."""
    if present(rollout.row.output):
        return bytes(rollout.row.output)
    try:
        return answer_text(rollout)
    except (BrokenLine, RecursionError):
        return f"{rollout.path}:{rollout.offset}"
