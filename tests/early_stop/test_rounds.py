"""The rounds, in every order of replies, with failures and kills: each prompt's decision is that of its own rewards."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from hypothesis import given
from hypothesis import strategies as st

from collector.early_stop import Ledger, Rounds, StopRule
from collector.early_stop.rule import Standing
from collector.journal import Line
from collector.journal.keys import KeySet
from collector.observer import SilentObserver
from collector.records.rows import PromptRow, Task
from collector.settings import CollectSettings
from collector.work import Job, Work

Outcome = float | None
"""The reward of a sample; None: it fails for good."""
Outcomes = Sequence[Sequence[Outcome]]
"""Of each prompt, the outcome of each sample."""
Decision = tuple[int, str | None]

outcomes_of_prompts = st.lists(
    st.lists(st.sampled_from((None, 0.0, 0.0, 0.5, 1.0)), min_size=7, max_size=7), min_size=1, max_size=6
)
rules = st.builds(
    StopRule,
    gap=st.sampled_from((0.0, 0.5, 1.0)),
    min_chosen=st.sampled_from((None, 0.5, 1.0)),
    futile_after=st.sampled_from((None, 2, 4)),
    first=st.just(2),
    step=st.just(1),
    most=st.integers(2, 7),
) | st.integers(2, 4).flatmap(
    lambda several: st.builds(
        StopRule,
        gap=st.just(0.5),
        min_chosen=st.none(),
        futile_after=st.sampled_from((None, 3)),
        first=st.just(several),
        step=st.just(several),
        most=st.integers(several, 7),
    )
)


def expected(outcomes: Sequence[Outcome], rule: StopRule) -> Decision:
    """The decision on one prompt, sample after sample."""
    size = 0
    while True:
        size = rule.reached(size + 1)
        standing = Standing()
        for outcome in outcomes[:size]:
            if outcome is not None:
                standing.note(outcome, ())
        stop = rule.stop(size, standing)
        if stop is not None:
            return size, stop


@dataclass
class Saved(SilentObserver):
    """Sums up what a run was told that it need not make."""

    saved: Counter[int] = field(default_factory=Counter)

    def fewer(self, row: PromptRow, tasks: int) -> None:
        self.saved[row.task_index] += tasks


@dataclass
class Disk:
    """The rows that were handed over, in order, and how often each sample was asked for."""

    outcomes: Outcomes
    rule: StopRule
    settings: CollectSettings
    rows: list[tuple[int, int, float]] = field(default_factory=list)
    asked: Counter[tuple[int, int]] = field(default_factory=Counter)

    def open(self, observer: Saved) -> tuple[Rounds, Ledger]:
        """A run that begins, or goes on, with what is on disk."""
        ledger = Ledger(len(self.outcomes), self.rule.most)
        ledger.read(self._lines())
        there = KeySet(self.rule.most)
        for task, repeat, _ in self.rows:
            there.add(task, repeat)
        skip = there.__contains__
        rounds = Rounds(self.settings, self.rule, ledger, skip, True, observer, Path("unused"))
        return rounds, ledger

    def _lines(self) -> Iterator[Line]:
        for number, (task, repeat, reward) in enumerate(self.rows):
            row = {"_ng_task_index": task, "_ng_rollout_index": repeat, "reward": reward}
            yield Line(Path("rows"), number, 0, orjson.dumps(row))

    def run(self, rng: random.Random, slots: int, kill_after: int | None) -> tuple[Ledger, int]:
        """Replies in any order, until all is done or so many have come. The ledger, and the tasks still to be made."""
        observer = Saved()
        rounds, ledger = self.open(observer)
        bound = rounds.tasks
        work = Work(rounds.jobs(lambda: 2), 1000, more_may_come=rounds.more_may_come)
        rounds.begin(work)
        out: list[Task] = []
        replies = 0
        while True:
            while len(out) < slots and (job := work.take()) is not None:
                out += self._sent(job, work)
            if not out or replies == kill_after:
                break
            replies += 1
            self._reply(out.pop(rng.randrange(len(out))), rounds)
        assert rounds.tasks == bound - observer.saved.total()
        assert work.over or replies == kill_after
        return ledger, rounds.tasks

    def _sent(self, job: Job, work: Work) -> tuple[Task, ...]:
        self.asked.update(task.key for task in job.tasks)
        work.end()
        return job.tasks

    def _reply(self, task: Task, rounds: Rounds) -> None:
        outcome = self.outcomes[task.row.task_index][task.rollout_index]
        if outcome is not None:
            self.rows.append((*task.key, outcome))
        rounds.settled(task, outcome, ())


def disk_of(folder: Path, outcomes: Outcomes, rule: StopRule) -> Disk:
    source = folder / "in.jsonl"
    source.write_bytes(b"".join(orjson.dumps({"prompt": f"question {task}"}) + b"\n" for task in range(len(outcomes))))
    settings = CollectSettings(
        input=source,
        output=folder / "out.jsonl",
        base_url="http://127.0.0.1:1/v1",
        verifier="numeric",
        num_repeats=rule.most,
        until_gap=rule.gap,
    )
    return Disk(outcomes, rule, settings)


def decisions(ledger: Ledger) -> list[Decision]:
    return [(ledger.asked(task), ledger.stopped(task)) for task in range(ledger.prompts)]


@given(outcomes_of_prompts, rules, st.randoms(use_true_random=False), st.integers(1, 5))
def test_any_order_of_replies_gives_the_same_decisions(
    outcomes: Outcomes, rule: StopRule, rng: random.Random, slots: int
) -> None:
    """Those of each prompt alone; no sample is asked for twice, and none beyond them."""
    with tempfile.TemporaryDirectory() as folder:
        disk = disk_of(Path(folder), outcomes, rule)
        ledger, tasks = disk.run(rng, slots, None)
    want = [expected(each, rule) for each in outcomes]
    assert decisions(ledger) == want
    assert disk.asked == Counter((task, repeat) for task, (size, _) in enumerate(want) for repeat in range(size))
    assert tasks == sum(size for size, _ in want)


@given(
    outcomes_of_prompts,
    rules,
    st.randoms(use_true_random=False),
    st.integers(1, 5),
    st.lists(st.integers(0, 12), min_size=1, max_size=4),
)
def test_kills_change_no_decision(
    outcomes: Outcomes, rule: StopRule, rng: random.Random, slots: int, kills: list[int]
) -> None:
    """Killed after any number of replies, the last rows lost: what is there in the end is what an undisturbed run has,
    and no row is asked for that was there."""
    with tempfile.TemporaryDirectory() as folder:
        disk = disk_of(Path(folder), outcomes, rule)
        for replies in kills:
            disk.run(rng, slots, replies)
            del disk.rows[rng.randint(0, len(disk.rows)) :]
        there = {(task, repeat) for task, repeat, _ in disk.rows}
        disk.asked.clear()
        ledger, _ = disk.run(rng, slots, None)
    want = [expected(each, rule) for each in outcomes]
    assert decisions(ledger) == want
    assert sorted((task, repeat) for task, repeat, _ in disk.rows) == [
        (task, repeat)
        for task, (size, _) in enumerate(want)
        for repeat in range(size)
        if outcomes[task][repeat] is not None
    ]
    assert not there & disk.asked.keys()


@given(outcomes_of_prompts, rules, st.randoms(use_true_random=False), st.integers(1, 5))
def test_what_failed_may_come_later_and_costs_nothing_that_is_there(
    outcomes: Outcomes, rule: StopRule, rng: random.Random, slots: int
) -> None:
    """A resumed run in which nothing fails any more asks for what failed, keeps every row, and each group is whole."""
    with tempfile.TemporaryDirectory() as folder:
        disk = disk_of(Path(folder), outcomes, rule)
        disk.run(rng, slots, None)
        before = list(disk.rows)
        disk.outcomes = [[0.0 if outcome is None else outcome for outcome in each] for each in outcomes]
        ledger, _ = disk.run(rng, slots, None)
    assert disk.rows[: len(before)] == before
    assert len({row[:2] for row in disk.rows}) == len(disk.rows)
    for task, (size, stop) in enumerate(decisions(ledger)):
        assert stop in ("usable", "futile", "cap")
        assert sorted(repeat for of, repeat, _ in disk.rows if of == task) == list(range(size))


@given(outcomes_of_prompts, st.randoms(use_true_random=False), st.integers(2, 6))
def test_a_larger_cap_goes_on_where_the_smaller_one_ended(outcomes: Outcomes, rng: random.Random, small: int) -> None:
    """As if it had been the cap from the start; but for failures, which come early or late."""
    whole = [[0.0 if outcome is None else outcome for outcome in each] for each in outcomes]
    low, high = (StopRule(0.5, None, None, 2, 1, most) for most in (small, 7))
    with tempfile.TemporaryDirectory() as folder:
        disk = disk_of(Path(folder), whole, low)
        disk.run(rng, 3, None)
        disk.rule = high
        disk.settings = disk_of(Path(folder), whole, high).settings
        disk.asked.clear()
        there = {row[:2] for row in disk.rows}
        ledger, _ = disk.run(rng, 3, None)
    assert decisions(ledger) == [expected(each, high) for each in whole]
    assert not there & disk.asked.keys()
