"""The plan of a run that stops prompts early: rounds of samples, the prompts interleaved so that no slot is idle.

A prompt whose round has ended is judged at once and either stops or asks for its next round, which goes before any
prompt that has not begun. While its samples are out, judged, or wait to be tried again, other prompts begin: as many
are open at once as it takes to fill the slots.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import anyio.to_thread

from collector.early_stop.decisions import write_decisions
from collector.early_stop.ledger import Ledger
from collector.early_stop.rule import STOPS, StopRule
from collector.journal.disk import DISK, Disk
from collector.observer import Observer
from collector.prompts import repeat_rows, rows_of
from collector.records.rows import PromptRow, Task
from collector.settings import CollectSettings
from collector.work import Job, Work, jobs_of

__all__ = ["Rounds"]


class _Prompt:
    """An open prompt: its tasks that were not asked for yet, its size at the end of this round, and how many samples of
    the round have not ended."""

    __slots__ = ("row", "size", "tasks", "waiting")

    def __init__(self, row: PromptRow, tasks: Iterator[Task]) -> None:
        self.row = row
        self.tasks = tasks
        self.size = 0
        self.waiting = 0


class Rounds:
    """A `Plan`. `skip` knows the rollouts on disk, which the ledger has read; `decisions` is the file that tells in the
    end what became of each prompt."""

    def __init__(
        self,
        settings: CollectSettings,
        rule: StopRule,
        ledger: Ledger,
        skip: Callable[[tuple[int, int]], bool],
        sends_seed: bool,
        observer: Observer,
        decisions: Path,
        disk: Disk = DISK,
    ) -> None:
        self.tasks = ledger.prompts * rule.most
        self._settings = settings
        self._rule = rule
        self._ledger = ledger
        self._skip = skip
        self._sends_seed = sends_seed
        self._observer = observer
        self._decisions = decisions
        self._disk = disk
        self._open: dict[int, _Prompt] = {}
        self._samples: Callable[[], int] = lambda: 1
        self._work: Work | None = None
        self._close_finished()

    def _close_finished(self) -> None:
        """Prompts that an earlier run brought to an end, with no rollout missing."""
        for task in range(self._ledger.prompts):
            size = self._ledger.asked(task)
            if size and self._ledger.rows(task) == size == self._rule.reached(size):
                self._judge(task, size)

    def begin(self, work: Work) -> None:
        self._work = work

    def jobs(self, samples: Callable[[], int]) -> Iterator[Job]:
        """The first round of each prompt, in input order."""
        self._samples = samples
        for row in rows_of(self._settings):
            if self._ledger.stopped(row.task_index) is None:
                tasks = repeat_rows((row,), self._settings, sends_seed=self._sends_seed, skip=self._skip)
                yield from self._round(_Prompt(row, tasks))

    def more_may_come(self) -> bool:
        return bool(self._open)

    def settled(self, task: Task, reward: float | None, flags: Collection[str]) -> bool:
        """A task has ended. With the last one of its round its prompt is judged."""
        index = task.row.task_index
        if reward is not None:
            self._ledger.add(index, task.rollout_index, reward, flags)
        prompt = self._open[index]
        prompt.waiting -= 1
        if prompt.waiting:
            return False
        saved = self._judge(index, prompt.size)
        if saved is None:
            self._ask_on(prompt)
            return False
        del self._open[index]
        if saved:
            self._observer.fewer(prompt.row, saved)
        if not self._open and self._work is not None:
            self._work.wake_all()  # that was perhaps the last one, and those who wait for more may go
        return True

    def _judge(self, task: int, size: int) -> int | None:
        """The number of samples that need not be made, when the prompt has stopped; else None."""
        stop = self._rule.stop(size, self._ledger.standing(task))
        if stop is None:
            return None
        self._ledger.close(task, size, stop)
        self.tasks -= self._rule.most - size
        return self._rule.most - size

    def _ask_on(self, prompt: _Prompt) -> None:
        assert self._work is not None  # noqa: S101 - its samples were made by the workers
        now = time.monotonic()
        for job in self._round(prompt):
            self._work.add(job, now)

    def _round(self, prompt: _Prompt) -> Iterator[Job]:
        """The jobs of a prompt's next round: of the first one, all that earlier runs asked for and did not get too."""
        index, rule = prompt.row.task_index, self._rule
        missing = 0
        if not prompt.size:
            prompt.size = rule.reached(self._ledger.asked(index))
            missing = prompt.size - self._ledger.rows(index)
        if not missing:
            size = rule.reached(prompt.size + 1)
            missing, prompt.size = size - prompt.size, size
        prompt.waiting = missing
        self._open[index] = prompt
        yield from jobs_of(islice(prompt.tasks, missing), self._samples)

    def repeats_of(self, task: int) -> int:
        return self._ledger.size_of(task)

    def counts(self) -> Mapping[str, Any]:
        """`stopped`: prompts by reason. `usable_after`: those that have a pair, by their number of samples."""
        ledger = self._ledger
        reasons = Counter(map(ledger.stopped, range(ledger.prompts)))
        sizes = Counter(ledger.asked(task) for task in range(ledger.prompts) if ledger.stopped(task) == "usable")
        return {
            "stopped": {stop: reasons[stop] for stop in STOPS},
            "usable_after": {str(size): sizes[size] for size in sorted(sizes)},
        }

    async def finish(self) -> None:
        """Writes down what became of each prompt. Raises OutputError."""
        await anyio.to_thread.run_sync(write_decisions, self._decisions, self._ledger, self._disk)
