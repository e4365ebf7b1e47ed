"""One run of scoring: workers pull candidates, have each judged, and put a row or a failure on disk; then the seal."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import anyio

from collector.errors import RolloutError, ServerError, VerifierError
from collector.journal import Journal, SealResult
from collector.journal.keys import KeySet
from collector.judging import Judging
from collector.observer import Observer
from collector.records.rollouts import encode_failure
from collector.records.rows import Reply, Task
from collector.reverify.candidates import Candidate, Standing
from collector.reverify.leftovers import Leftovers
from collector.reverify.origin import Origin
from collector.reverify.sources import Sources
from collector.reverify.survey import Survey, rows_in
from collector.settings import CollectSettings
from collector.stopping import StopSwitch, first_error
from collector.verifiers import Verifier

if TYPE_CHECKING:  # loads the whole request path, which nothing here needs
    from collector.result import CollectResult

__all__ = ["ScoringRun"]

_INLINE_WORKERS = 64
"""Rollouts at once with a verifier that does not wait: one after another would have each wait for its own commit."""
_HOPELESS = 20
"""Rollouts that may fail before the first success: with none at all, the verifier is wrong, not the rows."""


class ScoringRun:
    """The workers of one run, and the rollouts that they share."""

    def __init__(
        self,
        settings: CollectSettings,
        sources: Sources,
        leftovers: Leftovers,
        verifier: Verifier,
        journal: Journal,
        observer: Observer,
        stop: StopSwitch,
    ) -> None:
        self.settings = settings
        self.sources = sources
        self.leftovers = leftovers
        self.verifier = verifier
        self.journal = journal
        self.observer = observer
        self.stop = stop
        self.judging = Judging(verifier, settings.retry, random.Random(settings.seed), stop, self._try_failed)
        self.durable = 0
        self.doubled = 0
        self.high_water = 0
        self.failures: Counter[str] = Counter()
        self.retries: Counter[str] = Counter()
        self._tries: list[bytes] = []
        self._in_work = 0
        self._hopeful = len(journal.done) > 0

    async def through(self, survey: Survey, origin: Origin) -> CollectResult:
        """Scores until there is no rollout left or the stop switch is thrown, then seals."""
        began = time.monotonic()
        resumed = len(self.journal.done)
        readable = self._announce(survey, origin)
        total = survey.rows + (len(self.leftovers) if readable else 0)
        candidates = self._candidates(readable)
        self.observer.started(resumed, total)
        try:
            await self._work(candidates, total)
        finally:
            self.observer.ended()
        total -= self.doubled + self.leftovers.unread
        interrupted = self.stop.thrown and resumed + self.durable + self.failures.total() < total
        sealed = await self._close(survey, interrupted)
        from collector.result import CollectResult

        return CollectResult(
            settings=self.settings,
            paths=self.journal.paths,
            rows=survey.prompts,
            tasks=total,
            rollouts=resumed + self.durable,
            resumed=resumed,
            failures=dict(self.failures),
            interrupted=interrupted,
            high_water=self.high_water,
            seconds=time.monotonic() - began,
            seal=sealed,
            retries=dict(self.retries),
        )

    async def _close(self, survey: Survey, interrupted: bool) -> SealResult | None:
        counts = {"failed": self.failures.total()}
        if not interrupted:
            return await self.journal.seal(survey.prompts, repeats_of=survey.repeats_of, counts=counts)
        await self.journal.close("interrupted", counts)
        return None

    def _announce(self, survey: Survey, origin: Origin) -> bool:
        """Tells the user what is about to happen; False when the replies in the failures file cannot be scored."""
        for note in self.journal.notes:
            self.observer.note(note)
        source = self.sources.paths
        self.observer.note(f"scoring {survey.rows} rollouts of {survey.prompts} prompts in {source.rollouts} again")
        for snapshot in self.sources.rollouts:
            if snapshot.torn is not None:
                self.observer.note(f"{snapshot.path}: left out a half-written last line (byte {snapshot.torn})")
        if not len(self.leftovers):
            return False
        what = f"{source.failures}: {len(self.leftovers)} replies that only their verifier failed on"
        problem = origin.problem()
        self.observer.note(f"{what}: cannot be scored: {problem}" if problem else f"{what} are scored too")
        return problem is None

    def _candidates(self, with_leftovers: bool) -> Iterator[Candidate]:
        """What is still to be scored, each rollout once: the first row of a key stands for it."""
        seen = KeySet(self.journal.done.num_repeats)
        for found in rows_in(self.sources, self.settings.limit):
            if not seen.add(*found.key):
                self.doubled += 1
            elif found.key not in self.journal.done:
                yield Standing(found)
        if with_leftovers:
            yield from (left for left in self.leftovers.read() if left.task.key not in self.journal.done)

    async def _work(self, candidates: Iterator[Candidate], total: int) -> None:
        workers = min(total, self.settings.num_samples_in_parallel if self.judging.waits else _INLINE_WORKERS)
        try:
            async with anyio.create_task_group() as group:
                for _ in range(workers):
                    group.start_soon(self._worker, candidates)
        except* Exception as errors:
            # Workers fail together when the disk or the verifier's server does: the first one tells the story.
            raise first_error(errors) from None
        if self.doubled:
            self.observer.note(f"{self.sources.paths.rollouts}: {self.doubled} rows repeat a rollout: left out")

    async def _worker(self, candidates: Iterator[Candidate]) -> None:
        while not self.stop.thrown and (candidate := next(candidates, None)) is not None:
            self._in_work += 1
            self.high_water = max(self.high_water, self._in_work)
            await self._score(candidate)
            self._in_work -= 1

    async def _score(self, candidate: Candidate) -> None:
        """One rollout to its end: its row with a new verdict on its way to the disk, or a failure on record."""
        reply: Reply | None = None
        try:
            reply = candidate.answer()
            verdict = await self.judging.verdict(candidate.task, reply, candidate.endpoint)
            assert verdict is not None  # noqa: S101 - there is a verifier
            line = candidate.scored(reply, verdict)
        except RolloutError as error:
            await self._write_tries()
            await self._fail(candidate, reply, error)
            return
        self._hopeful = True
        await self._write_tries()
        await self.journal.append(line)
        self.durable += 1
        self.observer.rollout(candidate.task, reply, verdict)

    async def _fail(self, candidate: Candidate, reply: Reply | None, error: RolloutError) -> None:
        """Puts a rollout without a verdict on record, with its reply. Raises ServerError when nothing but failures came
        so far."""
        raw = None if reply is None else reply.raw
        await self.journal.append_failure(_failure(candidate.task, error, 1, candidate.endpoint, raw, final=True))
        self.failures[error.failure_class] += 1
        self.observer.failed(candidate.task, error)
        if not self._hopeful and self.failures.total() >= _HOPELESS:
            raise ServerError(
                f"the first {self.failures.total()} rollouts all failed, the last with: {error};"
                f" stopped (every try stands in {self.journal.paths.failures})"
            )

    def _try_failed(self, task: Task, error: VerifierError, number: int, endpoint: str) -> None:
        """Puts a try that is followed by another on record."""
        self.retries[error.failure_class] += 1
        self._tries.append(_failure(task, error, number, endpoint, None, final=False))

    async def _write_tries(self) -> None:
        while self._tries:
            await self.journal.append_failure(self._tries.pop())


def _failure(task: Task, error: RolloutError, number: int, endpoint: str, raw: bytes | None, *, final: bool) -> bytes:
    return encode_failure(
        task,
        failure_class=error.failure_class,
        message=str(error),
        status=None,
        attempt=number,
        endpoint=endpoint,
        final=final,
        response=raw,
    )
