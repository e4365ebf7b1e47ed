"""The workers of a run: as many as slots, each making one attempt after another until no job is left."""

from __future__ import annotations

from typing import Protocol

import anyio
from anyio.abc import TaskGroup

from collector.attempts import Attempts
from collector.endpoints import Endpoints
from collector.limiter import Limiter
from collector.work import Work

__all__ = ["Crew"]

_STARTED_TOGETHER = 32
"""Workers that start in one pass of the event loop. All at once, 4,000 of them opened every connection before a request
went out, and the replies then came as one crowd: 1.12 of the ideal makespan at a latency of 2 s, not 1.08."""


class Room(Protocol):
    """What takes replies: a run's outcomes, a trial's ends."""

    @property
    def full(self) -> bool: ...

    async def room(self) -> None: ...


class Crew:
    """One event loop's. A worker waits for a slot of the limiter, an endpoint with room and a job; never for the disk
    or a judge, but where these have fallen behind (`outcomes.full`)."""

    def __init__(self, outcomes: Room, work: Work, limiter: Limiter, endpoints: Endpoints, attempts: Attempts) -> None:
        self._outcomes = outcomes
        self._work = work
        self._limiter = limiter
        self._endpoints = endpoints
        self._attempts = attempts
        self._most = 0
        self._started = 0
        self._group: TaskGroup | None = None
        self._scope = anyio.CancelScope()

    async def through(self, tasks: int) -> None:
        """Returns when there is no job left for any worker, or they gave up. No more workers than `tasks` start. Raises
        what an attempt raises."""
        self._most = tasks
        with self._scope:
            async with anyio.create_task_group() as self._group:
                await self._start(self._group)
        self._group = None

    def give_up(self) -> None:
        """Cancels the requests that are out."""
        self._scope.cancel()

    def grow(self) -> None:
        """The limit has grown: there are as many workers as slots again, and those who found no room look again."""
        while self._group is not None and self._lacks_workers:
            self._start_one(self._group)
        self._work.wake_all()

    async def _start(self, group: TaskGroup) -> None:
        """Starts workers a few at a time: between, the loop sends what those before have made ready."""
        while self._lacks_workers:
            self._start_one(group)
            if self._started % _STARTED_TOGETHER == 0:
                await anyio.lowlevel.checkpoint()

    @property
    def _lacks_workers(self) -> bool:
        return self._started < min(self._most, self._limiter.limit)

    def _start_one(self, group: TaskGroup) -> None:
        self._started += 1
        group.start_soon(self._worker)

    async def _worker(self) -> None:
        """Makes one attempt after another, each as soon as a slot, an endpoint and a job are there."""
        outcomes, work, limiter, endpoints, attempts = (
            self._outcomes, self._work, self._limiter, self._endpoints, self._attempts,
        )  # fmt: skip
        while True:
            if outcomes.full:
                await outcomes.room()
            await limiter.acquire()
            room = endpoints.have_room
            job = work.take() if room else None
            if job is not None:
                await attempts.make(job)
                continue
            limiter.release()
            if not await work.more(room=room):
                return
