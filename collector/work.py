"""What is to be asked next: retries that are due, then fresh tasks in input order, and a place to wait for either.

A rollout that backs off costs no task and no slot: it is an entry of a heap, ordered by the time it is due. Not covered
here: how many requests may be out (`limiter`), and where they go (`endpoints`).
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from collector.endpoints import Endpoint
from collector.errors import RolloutError
from collector.records.rows import Task

__all__ = ["Job", "Work", "jobs_of"]


class Job:
    """One request to be made, and made again: for one task, or for several repeats of one row.

    `number` counts its attempts so far, `began` is the monotonic time of its tasks' first, 0 before it. `failed_at` and
    `error` are those of the last attempt, where there was one.
    """

    __slots__ = ("began", "error", "failed_at", "number", "tasks")

    def __init__(self, tasks: tuple[Task, ...]) -> None:
        self.tasks = tasks
        self.number = 0
        self.began = 0.0
        self.failed_at: Endpoint | None = None
        self.error: RolloutError | None = None

    def part(self, tasks: tuple[Task, ...]) -> Job:
        """A job for some of these tasks, which have begun when this one did."""
        part = Job(tasks)
        part.began = self.began
        return part


def jobs_of(tasks: Iterable[Task], samples: Callable[[], int]) -> Iterator[Job]:
    """Tasks of one row with equal parameters, at most `samples()` to a job, whose order they keep.

    A row's tasks are consecutive, those of equal parameters need not be: a ladder of temperatures gives them in turn.
    """
    open_ones: list[list[Task]] = []
    for task in tasks:
        if open_ones and open_ones[0][0].row is not task.row:
            yield from _closed(open_ones)
        at = next((at for at, held in enumerate(open_ones) if _alike(held[0], task)), len(open_ones))
        if at == len(open_ones):
            open_ones.append([])
        open_ones[at].append(task)
        if len(open_ones[at]) >= samples():
            yield Job(tuple(open_ones.pop(at)))
    yield from _closed(open_ones)


def _closed(open_ones: list[list[Task]]) -> Iterator[Job]:
    """What was kept for further tasks, of which there are none: the list is empty afterwards."""
    while open_ones:
        yield Job(tuple(open_ones.pop(0)))


def _alike(task: Task, other: Task) -> bool:
    return task.params is other.params or task.params == other.params


class Work:
    """Gives out jobs, one event loop's. A job that was taken is either `put_back` or `end`ed, once.

    At most `most_pending` retries are held: beyond that nothing fresh begins, so that a server which sends everything
    away neither grows memory nor gets the whole input thrown at it.
    """

    def __init__(
        self,
        fresh: Iterator[Job],
        most_pending: int,
        clock: Callable[[], float] = time.monotonic,
        more_may_come: Callable[[], bool] = lambda: False,
    ) -> None:
        """`more_may_come`: whether someone may still `add` jobs, though all that there were have ended. He wakes those
        who wait when he will not."""
        self._fresh = fresh
        self._more_may_come = more_may_come
        self._most_pending = most_pending
        self._clock = clock
        self._pending: list[tuple[float, int, Job]] = []
        self._count = 0
        self._out = 0
        self._seen: Job | None = None
        """A fresh job that was looked at and not taken."""
        self._drained = False
        self._stopped = False
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def pending(self) -> int:
        """Jobs that wait for their time."""
        return len(self._pending)

    @property
    def over(self) -> bool:
        """Whether no job will be given out any more."""
        if self._stopped:
            return True
        return self._drained and not self._pending and not self._out and not self._more_may_come()

    def take(self) -> Job | None:
        """The retry that has been due the longest, or the next fresh job; None when there is none just now."""
        if self._stopped:
            return None
        pending = self._pending
        if pending and pending[0][0] <= self._clock():
            job = heapq.heappop(pending)[2]
        elif len(pending) >= self._most_pending:
            return None
        else:
            fresh = self._next_fresh()
            if fresh is None:
                return None
            job = fresh
        self._out += 1
        if self._waiters:
            self._wake_one()  # where one job was there may be another; who finds none waits again
        return job

    def _next_fresh(self) -> Job | None:
        job, self._seen = self._seen or next(self._fresh, None), None
        if job is None:
            self._drained = True
        return job

    def put_back(self, job: Job, due: float) -> None:
        """A job that was taken is to be taken again at `due`, by the clock, or later."""
        self._out -= 1
        self.add(job, due)

    def add(self, job: Job, due: float) -> None:
        """A further job, to be taken at `due` or later."""
        heapq.heappush(self._pending, (due, self._count, job))
        self._count += 1
        if self._waiters:
            self._set_timer()

    def end(self) -> None:
        """A job that was taken is over, whichever way."""
        self._out -= 1
        if self._waiters and self.over:
            self.wake_all()

    def stop(self) -> None:
        """Gives out nothing any more: what is fresh or pending stays undone."""
        self._stopped = True
        self.wake_all()

    async def more(self, *, room: bool = True) -> bool:
        """Waits until it is worth to `take` again; False when all is over.

        With `room` False the caller cannot use a job: it waits for someone to end one, or for `wake_all`.
        """
        if not (room or self._out or self._pending):
            self._seen = self._next_fresh()  # who cannot take would never find that there is nothing left to take
        if self.over:
            self.wake_all()
            return False
        if room and self._is_due():
            return True
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        if room:
            self._set_timer()
        await waiter
        return not self.over

    def wake_all(self) -> None:
        """Lets everyone who waits look again: more may be had than before."""
        while self._waiters:
            self._wake_one()

    def _wake_one(self) -> None:
        waiter = self._waiters.popleft()
        if not waiter.done():
            waiter.set_result(None)

    def _is_due(self) -> bool:
        return bool(self._pending) and self._pending[0][0] <= self._clock()

    def _set_timer(self) -> None:
        """Sees to it that someone who waits is woken when the next retry is due."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pending:
            seconds = max(0.0, self._pending[0][0] - self._clock())
            self._timer = asyncio.get_running_loop().call_later(seconds, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._waiters:
            self._wake_one()
