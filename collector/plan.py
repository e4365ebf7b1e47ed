"""Which rollouts a run makes: a fixed number of each prompt. `early_stop.Rounds` is the plan of a run that may stop
a prompt earlier."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any
from typing import Protocol as TypingProtocol

import anyio.to_thread

from collector.early_stop import Ledger, Rounds, rule_of
from collector.journal import Journal, iter_lines
from collector.journal.disk import DISK, Disk
from collector.journal.survey import RepeatsOf
from collector.observer import Observer
from collector.prompts import Inventory, repeat_rows, rows_of
from collector.protocols import Protocol
from collector.records.rows import Task
from collector.settings import CollectSettings
from collector.work import Job, Work, jobs_of

__all__ = ["FixedPlan", "Plan", "Settled", "plan_of"]

Settled = Callable[[Task, float | None, Collection[str]], bool]
"""Told of each task that has ended: its reward and its flags, or None where it failed for good. True when no further
task of its prompt will come."""


class Plan(TypingProtocol):
    """What the workers of one run are to do."""

    @property
    def tasks(self) -> int:
        """The run's rollouts in all, those on disk included; the most that they may come to, where that is not known
        yet."""

    @property
    def settled(self) -> Settled | None:
        """Who is to be told how each task ends; None when nobody cares. Then the tasks of one prompt all come before
        those of the next."""

    @property
    def repeats_of(self) -> RepeatsOf | None:
        """Each task's number of rollouts, once the run is through; None when it is the same for all."""

    def jobs(self, samples: Callable[[], int]) -> Iterator[Job]:
        """What is to be asked, in order, at most `samples()` rollouts with one request. What has become of the earlier
        jobs may make more of them: `begin` says whom they are given to."""

    def begin(self, work: Work) -> None:
        """The workers are about to start."""

    def more_may_come(self) -> bool:
        """Whether further jobs may follow although `jobs` has given its last."""

    def counts(self) -> Mapping[str, Any]:
        """What the run file is to say of it."""

    async def finish(self) -> None:
        """The run is through, and about to be sealed. Raises OutputError when the disk will not."""


class FixedPlan:
    """As many rollouts of each prompt as the settings say, but for those that `skip` knows to be there."""

    settled = None

    def __init__(
        self, settings: CollectSettings, inventory: Inventory, skip: Callable[[tuple[int, int]], bool], sends_seed: bool
    ) -> None:
        self.tasks = inventory.tasks
        self.repeats_of = inventory.repeats_of
        self._left = repeat_rows(rows_of(settings), settings, sends_seed=sends_seed, skip=skip)

    def jobs(self, samples: Callable[[], int]) -> Iterator[Job]:
        return jobs_of(self._left, samples)

    def begin(self, work: Work) -> None: ...

    def more_may_come(self) -> bool:
        return False

    def counts(self) -> Mapping[str, Any]:
        return {}

    async def finish(self) -> None: ...


async def plan_of(
    settings: CollectSettings,
    protocol: Protocol,
    inventory: Inventory,
    journal: Journal,
    observer: Observer,
    disk: Disk = DISK,
) -> Plan:
    """What a run of these settings has left to do, with the rollouts that its journal found. Raises StreamError for a
    row that it cannot go on from."""
    sends_seed = protocol.sends_seed if settings.send_seed is None else settings.send_seed
    skip = journal.done.__contains__
    rule = rule_of(settings)
    if rule is None:
        return FixedPlan(settings, inventory, skip, sends_seed)
    ledger = Ledger(inventory.rows, rule.most)
    if len(journal.done):
        await anyio.to_thread.run_sync(ledger.read, iter_lines(journal.paths.rollouts))
    return Rounds(settings, rule, ledger, skip, sends_seed, observer, journal.paths.decisions, disk)
