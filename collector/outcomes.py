"""How each rollout ends: its reply judged and on its way to the disk, or its failure on record. And the counts of both.

Not covered here: how a reply is come by (`attempts`), and when a row is durable (`delivery`).
"""

from __future__ import annotations

import random
from collections import Counter

from anyio.abc import TaskGroup

from collector.delivery import Delivery
from collector.errors import RequestError, RolloutError, ServerError, VerifierError
from collector.journal import Journal
from collector.judging import MOST_BESIDE_BYTES, Beside, Judging, most_beside
from collector.observer import Observer
from collector.plan import Settled
from collector.records.rollouts import Attempt, encode_failure, encode_rollout
from collector.records.rows import Reply, Task, Verdict
from collector.sameness import IDENTICAL, SeenTexts
from collector.settings import CollectSettings
from collector.stopping import StopSwitch
from collector.verifiers import Verifier

__all__ = ["Outcomes"]

_HOPELESS = 20
"""Rollouts that may fail for good before the first success: with none at all, the settings are wrong, not the luck."""


_Replied = tuple[Task, Reply, Attempt, tuple[str, ...]]


class Outcomes:
    """The ends of one run's rollouts. `durable` counts those on disk, `flags` theirs by flag; `failures` those that
    failed for good and `retries` the failed attempts that were followed by another, both by class."""

    def __init__(
        self,
        settings: CollectSettings,
        verifier: Verifier | None,
        journal: Journal,
        observer: Observer,
        stop: StopSwitch,
        rng: random.Random,
        settled: Settled | None = None,
    ) -> None:
        """`settled` is told of each task that has ended, on disk or not."""
        self.durable = 0
        self.failures: Counter[str] = Counter()
        self.retries: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()
        self.seen = SeenTexts(observer, in_turn=settled is None)
        self.delivery = Delivery(journal, self._landed)
        self._journal = journal
        self._observer = observer
        self._judging = Judging(verifier, settings.retry, rng, stop, self._verifier_failed)
        stop.to_judge = self._to_judge
        self._slots = settings.num_samples_in_parallel
        self._beside: Beside[_Replied] | None = None
        self._hopeful = len(journal.done) > 0
        self._settled = settled

    def begin(self, group: TaskGroup) -> None:
        """Opens the place beside the generation where a verifier that waits does its work: tasks of `group`."""
        if self._judging.waits:
            self._beside = Beside(group, self._end_one, most_beside(self._slots), MOST_BESIDE_BYTES)

    def _to_judge(self) -> int:
        return self._beside.held if self._beside is not None else 0

    @property
    def failed(self) -> int:
        """Rollouts that failed for good."""
        return self.failures.total()

    @property
    def full(self) -> bool:
        """Whether so much is to be judged or written that no further request should begin."""
        return self.delivery.full or (self._beside is not None and self._beside.full)

    async def room(self) -> None:
        """Returns when the disk and the judges have caught up."""
        await self.delivery.room()
        if self._beside is not None:
            await self._beside.room()

    async def finish(self) -> None:
        """Returns when every reply is judged and every row is durable; none may come any more."""
        self.seen.close()
        if self._beside is not None:
            await self._beside.finish()
        await self.delivery.flush()

    async def replied(self, task: Task, reply: Reply, attempt: Attempt, flags: tuple[str, ...]) -> None:
        """The reply to a task: judged and handed to the disk, now or beside what follows."""
        if self.seen.is_repeat(task, reply.text):
            flags = (*flags, IDENTICAL)
        self.seen.end(task)
        if self._beside is None:
            await self._end(task, reply, attempt, flags)
        else:
            self._beside.add((task, reply, attempt, flags), len(reply.raw))

    def attempt_failed(
        self, task: Task, error: RolloutError, number: int, endpoint: str, *, final: bool, reply: Reply | None = None
    ) -> None:
        """Puts a failed attempt on record. Raises ServerError when nothing but failures came so far."""
        line = encode_failure(
            task,
            failure_class=error.failure_class,
            message=str(error),
            status=error.status if isinstance(error, RequestError) else None,
            attempt=number,
            endpoint=endpoint,
            final=final,
            response=error.reply if reply is None else reply.raw,
        )
        self.delivery.failure(line)
        if not final:
            self.retries[error.failure_class] += 1
            return
        if reply is None:
            self.seen.end(task)
        self.failures[error.failure_class] += 1
        self._observer.failed(task, error)
        self._settle(task, None, ())
        if not self._hopeful and self.failed >= _HOPELESS:
            raise ServerError(
                f"the first {self.failed} rollouts all failed, the last with: {error};"
                f" stopped (every attempt stands in {self._journal.paths.failures})"
            )

    async def _end_one(self, replied: _Replied) -> None:
        await self._end(*replied)

    async def _end(self, task: Task, reply: Reply, attempt: Attempt, flags: tuple[str, ...]) -> None:
        """The judgement, and the row."""
        try:
            verdict = await self._judging.verdict(task, reply, attempt.endpoint)
            line = encode_rollout(task, reply, verdict, attempt, flags)
        except RolloutError as error:
            self.attempt_failed(task, error, attempt.number, attempt.endpoint, final=True, reply=reply)
            return
        self._hopeful = True
        self.delivery.rollout(line, (task, reply, verdict, flags))
        if self._settled is not None:
            self._settle(task, None if verdict is None else verdict.reward, reply.flags)

    def _settle(self, task: Task, reward: float | None, flags: tuple[str, ...]) -> None:
        if self._settled is not None and self._settled(task, reward, flags):
            self.seen.complete(task.row.task_index)

    def _landed(self, task: Task, reply: Reply, verdict: Verdict | None, flags: tuple[str, ...]) -> None:
        self.durable += 1
        for flag in (*reply.flags, *flags):
            self.flags[flag] += 1
        self._observer.rollout(task, reply, verdict)

    def _verifier_failed(self, task: Task, error: VerifierError, number: int, endpoint: str) -> None:
        self.attempt_failed(task, error, number, endpoint, final=False)
