"""Where a trial's replies go: judged as a run judges them, written down as records, and as rows for the pairs."""

from __future__ import annotations

import random
import time
from typing import IO

from anyio.abc import TaskGroup

from collector.errors import RolloutError, ServerError, VerifierError
from collector.judging import MOST_BESIDE_BYTES, Beside, Judging, most_beside
from collector.observer import Observer
from collector.parallelism.meters import Flights
from collector.parallelism.records import RequestRecord
from collector.records.rollouts import Attempt, encode_rollout
from collector.records.rows import Reply, Task, Verdict
from collector.sameness import IDENTICAL, SeenTexts
from collector.settings import CollectSettings
from collector.stopping import StopSwitch
from collector.verifiers import Verifier

__all__ = ["TrialEnds"]

_HOPELESS = 20
"""Rollouts that may fail for good before the first success of a sweep: then the settings are wrong, not the luck."""

_Replied = tuple[Task, Reply, Attempt, tuple[str, ...], float]


class TrialEnds:
    """The ends of one trial's rollouts. `records` holds one for each attempt, `ended` counts the rollouts that are
    over. Rows are written to `rows`. `hopeful`: the sweep has had a rollout already."""

    def __init__(
        self,
        settings: CollectSettings,
        verifier: Verifier | None,
        flights: Flights,
        rows: IO[bytes],
        observer: Observer,
        stop: StopSwitch,
        *,
        hopeful: bool,
    ) -> None:
        self.records: list[RequestRecord] = []
        self.ended = 0
        self.began = 0.0
        """Monotonic seconds: what the records' times count from."""
        self.seen = SeenTexts(observer)
        self.hopeful = hopeful
        self._failed = 0
        self._flights = flights
        self._rows = rows
        self._observer = observer
        self._judging = Judging(verifier, settings.retry, random.Random(settings.seed), stop, self._verifier_failed)
        self._slots = settings.num_samples_in_parallel
        self._beside: Beside[_Replied] | None = None

    def begin(self, group: TaskGroup) -> None:
        """Opens the place beside the generation where a verifier that waits does its work."""
        if self._judging.waits:
            self._beside = Beside(group, self._end_one, most_beside(self._slots), MOST_BESIDE_BYTES)

    @property
    def full(self) -> bool:
        """Whether so much is to be judged that no further request should begin."""
        return self._beside is not None and self._beside.full

    async def room(self) -> None:
        if self._beside is not None:
            await self._beside.room()

    async def finish(self) -> None:
        """Returns when every reply is judged."""
        self.seen.close()
        if self._beside is not None:
            await self._beside.finish()

    async def replied(self, task: Task, reply: Reply, attempt: Attempt, flags: tuple[str, ...]) -> None:
        """The reply to a task."""
        if self.seen.is_repeat(task, reply.text):
            flags = (*flags, IDENTICAL)
        self.seen.end(task)
        item = task, reply, attempt, flags, time.monotonic() - attempt.latency - self.began
        if self._beside is None:
            await self._end_one(item)
        else:
            self._beside.add(item, len(reply.raw))

    def attempt_failed(
        self, task: Task, error: RolloutError, number: int, endpoint: str, *, final: bool, reply: Reply | None = None
    ) -> None:
        """A failed attempt. Raises ServerError when nothing but failures came since the sweep began."""
        sent, back = self._flights.last
        self._note(task, Attempt(number, endpoint, 0.0, back - sent), sent - self.began, error=error, final=final)
        if not final:
            return
        if reply is None:
            self.seen.end(task)
        self._count_failure(task, error)

    async def _end_one(self, replied: _Replied) -> None:
        task, reply, attempt, flags, sent = replied
        try:
            verdict = await self._judging.verdict(task, reply, attempt.endpoint)
            line = encode_rollout(task, reply, verdict, attempt, flags)
        except RolloutError as error:
            self._note(task, attempt, sent, error=error, reply=reply, flags=flags)
            self._count_failure(task, error)
            return
        self.hopeful = True
        self.ended += 1
        self._rows.write(line)
        self._note(task, attempt, sent, reply=reply, verdict=verdict, flags=flags)

    def _verifier_failed(self, task: Task, error: VerifierError, number: int, endpoint: str) -> None:
        """A try of the verifier that another follows: it is none of the server's, and is not recorded."""

    def _count_failure(self, task: Task, error: RolloutError) -> None:
        self.ended += 1
        self._failed += 1
        self._observer.failed(task, error)
        if not self.hopeful and self._failed >= _HOPELESS:
            raise ServerError(f"the first {self._failed} rollouts all failed, the last with: {error}; stopped")

    def _note(
        self,
        task: Task,
        attempt: Attempt,
        sent: float,
        *,
        reply: Reply | None = None,
        verdict: Verdict | None = None,
        error: RolloutError | None = None,
        final: bool = True,
        flags: tuple[str, ...] = (),
    ) -> None:
        usage = reply.usage if reply else None
        self.records.append(
            RequestRecord(
                trial=0,
                level=0,
                phase="measured",
                task=task.row.task_index,
                row=task.row.line,
                repeat=task.rollout_index,
                attempt=attempt.number,
                sent=round(sent, 6),
                latency=round(attempt.latency, 6),
                input_tokens=usage.input_tokens if usage else None,
                output_tokens=_share(usage.output_tokens, reply.samples) if usage and reply else None,
                reward=verdict.reward if verdict else None,
                finish_reason=reply.finish_reason if reply else None,
                failure=error.failure_class if error else None,
                final=final,
                endpoint=attempt.endpoint,
                flags=(*(reply.flags if reply else ()), *flags),
            )
        )


def _share(tokens: int, samples: int) -> float:
    """A rollout's part of the tokens of its request."""
    return tokens if samples == 1 else round(tokens / samples, 3)
