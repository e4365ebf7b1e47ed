"""One attempt at one job: the endpoint chosen, the request sent, its replies passed on, or a further attempt planned.

A slot of the limiter is held only while the request is out: not while it backs off, is judged, or goes to the disk.
"""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import Protocol as Interface

from collector.adaptive.steering import Steering
from collector.client import next_delay
from collector.endpoints import Endpoint, Endpoints
from collector.errors import RequestError, RolloutError
from collector.health import Health, is_unanswered
from collector.limiter import Limiter
from collector.observer import Observer
from collector.protocols import Protocol
from collector.records.rollouts import Attempt
from collector.records.rows import Reply, Task
from collector.sameness import SeenTexts
from collector.settings import CollectSettings
from collector.stalls import Outstanding
from collector.work import Job, Work

__all__ = ["EXTRA_CHOICES", "IGNORED_N", "Attempts", "Ends"]

IGNORED_N = "n_ignored"
"""The flag of a rollout that came with fewer others than its request asked for."""
EXTRA_CHOICES = "extra_choices"
"""The flag of a rollout that came with more others than its request asked for."""


class Ends(Interface):
    """Where replies and failures go: a run's `outcomes`, or what a sweep keeps of them."""

    seen: SeenTexts

    async def replied(self, task: Task, reply: Reply, attempt: Attempt, flags: tuple[str, ...]) -> None:
        """The reply to a task."""

    def attempt_failed(self, task: Task, error: RolloutError, number: int, endpoint: str, *, final: bool) -> None:
        """A failed attempt; `final` when no further one follows."""


class Attempts:
    """What the attempts of one run share. `samples`: how many rollouts may be asked for with one request, now."""

    def __init__(
        self,
        settings: CollectSettings,
        protocol: Protocol,
        endpoints: Endpoints,
        limiter: Limiter,
        work: Work,
        health: Health,
        outstanding: Outstanding,
        outcomes: Ends,
        observer: Observer,
        rng: random.Random,
        steering: Steering | None = None,
    ) -> None:
        self.settings = settings
        self.protocol = protocol
        self.endpoints = endpoints
        self.limiter = limiter
        self.work = work
        self.health = health
        self.outstanding = outstanding
        self.outcomes = outcomes
        self.observer = observer
        self.rng = rng
        self.steering = steering
        self.samples = settings.samples_per_request if protocol.several else 1
        self._told_of_n = False

    async def make(self, job: Job) -> None:
        """One attempt at a job, for which the caller has acquired a slot of the limiter; it is given back here.

        The job was taken from `work`, and is ended or put back there. Raises ServerError when the run is hopeless, and
        OutputError when the disk fails.
        """
        task = job.tasks[0]
        sent = time.monotonic()
        endpoint = self.endpoints.group_of(task).choose(task.row.prompt_id, job.failed_at, sent)
        if not job.began:
            job.began = sent
            self.outcomes.seen.begin(job.tasks)
        elif job.error is not None and sent - job.began > self.settings.timeouts.rollout:
            self.limiter.release()
            self._give_up(job, endpoint, job.error)
            return
        if len(job.tasks) > self.samples:
            self._fit(job, sent)
        job.number += 1
        try:
            replies, latency = await self._exchange(job, endpoint, sent)
        except RolloutError as error:
            self._failed(job, endpoint, error, sent)
            return
        flags = self._check_number(job, len(replies), sent) if len(replies) != len(job.tasks) else ()
        self.work.end()
        attempt = Attempt(job.number, endpoint.name, sent - job.began, latency)
        for each, reply in zip(job.tasks, replies, strict=False):
            asked = each if each is task else replace(each, seed=task.seed)  # the request had one seed
            await self.outcomes.replied(asked, reply, attempt, flags)

    async def _exchange(self, job: Job, endpoint: Endpoint, sent: float) -> tuple[list[Reply], float]:
        """The replies to one request, and the seconds it took."""
        wanted = len(job.tasks)
        endpoint.in_flight += 1
        self.outstanding.sent(job, sent)
        try:
            body = self.protocol.build(job.tasks[0], self.settings, wanted)
            raw = await endpoint.client.send(self.protocol.path, body)
        finally:
            self.outstanding.back(job)
            endpoint.in_flight -= 1
            self.limiter.release()
        now = time.monotonic()
        self._answered(endpoint, now)
        replies = [self.protocol.parse(raw)] if wanted == 1 else self.protocol.parse_samples(raw)
        self.health.worked(endpoint)
        if self.steering is not None:
            self.steering.completed(endpoint, now - sent, replies)
        self.observer.answered(endpoint.name, now - sent)
        return replies, now - sent

    def _answered(self, endpoint: Endpoint, now: float) -> None:
        self.health.replied(endpoint, now)
        self.outstanding.replied(now)

    def _fit(self, job: Job, now: float) -> None:
        """Parts a job that asks for more samples than the server gives; the rest becomes jobs of their own."""
        for first in range(self.samples, len(job.tasks), self.samples):
            self.work.add(job.part(job.tasks[first : first + self.samples]), now)
        job.tasks = job.tasks[: self.samples]

    def _check_number(self, job: Job, got: int, now: float) -> tuple[str, ...]:
        """The server gave fewer samples than asked for: the others are asked for again, by one when it gave one. Of one
        that gave more those beyond are no rollouts: no task asked for them."""
        if got > len(job.tasks):
            return (EXTRA_CHOICES,)
        self.work.add(job.part(job.tasks[got:]), now)
        if not self._told_of_n:
            self._told_of_n = True
            rest = "each sample is a request of its own from now on" if got == 1 else "the rest is asked for again"
            self.observer.note(f"{got} of {len(job.tasks)} samples came back for one request: {rest}")
        if got == 1:
            self.samples = 1
        return (IGNORED_N,)

    def _failed(self, job: Job, endpoint: Endpoint, error: RolloutError, sent: float) -> None:
        """Plans the next attempt, or gives up."""
        now = time.monotonic()
        if self.steering is not None:
            self.steering.failed(endpoint, error, sent)
        delay = next_delay(self.settings.retry, job.number, error, self.rng)
        if isinstance(error, RequestError):
            if is_unanswered(error):
                self.health.unanswered(endpoint, error, sent)
                if delay is not None and self.endpoints.group_of(job.tasks[0]).other(endpoint):
                    delay = 0.0
            elif error.retryable or error.status is not None:
                self._answered(endpoint, now)
                self.health.refused(endpoint, error, now)
        if delay is None:
            self._record(job, endpoint, error, final=True)
        elif now + delay - job.began > self.settings.timeouts.rollout:
            self._give_up(job, endpoint, error)
        else:
            self._record(job, endpoint, error, final=False)
            job.failed_at, job.error = endpoint, error
            self.work.put_back(job, now + delay)

    def _give_up(self, job: Job, endpoint: Endpoint, error: RolloutError) -> None:
        """The time for all attempts is over: the last one's error is the rollout's."""
        limit = self.settings.timeouts.rollout
        error.args = (f"{error}; not tried again: {limit:g} s for all attempts are over (--rollout-timeout)",)
        self._record(job, job.failed_at or endpoint, error, final=True)

    def _record(self, job: Job, endpoint: Endpoint, error: RolloutError, *, final: bool) -> None:
        if final:
            self.work.end()
        for task in job.tasks:
            self.outcomes.attempt_failed(task, error, job.number, endpoint.name, final=final)
