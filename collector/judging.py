"""The verdict on each reply: made at once by a verifier that does not wait, beside the generation by one that does."""

from __future__ import annotations

import asyncio
import math
import random
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from anyio.abc import TaskGroup

from collector.client import ConnectionWatch, next_delay
from collector.errors import VERIFIER_CONNECT, ServerError, VerifierError
from collector.policies import RetryPolicy
from collector.records.rows import Reply, Task, Verdict
from collector.stopping import StopSwitch
from collector.verifiers import Verifier

__all__ = ["MOST_BESIDE_BYTES", "Beside", "Judging", "most_beside"]

MOST_BESIDE_BYTES = 64 * 2**20
"""How many bytes of replies may be with a verifier that waits, or wait for it: a reply may have 64 MiB itself, and is
held as its bytes and as what was read from them, some four times that."""

T = TypeVar("T")
Recorder = Callable[[Task, VerifierError, int, str], None]
"""Puts a failed try on record: the task, what went wrong, the number of the try, from 1, and who gave the reply."""


class Judging:
    """Asks the verifier for verdicts, and again where its fault may pass: on the same reply, which costs no tokens."""

    def __init__(
        self, verifier: Verifier | None, policy: RetryPolicy, rng: random.Random, stop: StopSwitch, record: Recorder
    ) -> None:
        self.waits = verifier is not None and verifier.waits
        """Whether a verdict may take its time."""
        self._verifier = verifier
        self._policy = policy
        self._rng = rng
        self._stop = stop
        self._record = record
        self._watch = ConnectionWatch(policy.dead_after)

    async def verdict(self, task: Task, reply: Reply, endpoint: str) -> Verdict | None:
        """None when nobody judges. Each try that is followed by another is put on record.

        Raises VerifierError when there is no verdict to be had for this reply, ServerError when the verifier's server
        is gone: replies without a score are spent.
        """
        if self._verifier is None:
            return None if reply.reward is None else _agents_verdict(reply)
        number = 0
        while True:
            number += 1
            try:
                verdict = await self._verifier.verify(task, reply)
            except VerifierError as error:
                self._note(error)
                delay = next_delay(self._policy, number, error, self._rng)
                if delay is None or self._stop.thrown:
                    raise
                self._record(task, error, number, endpoint)
                await self._stop.sleep(delay)
            else:
                self._watch.replied()
                return verdict

    def _note(self, error: VerifierError) -> None:
        if error.failure_class != VERIFIER_CONNECT:
            self._watch.replied()
        elif self._watch.failed():
            raise ServerError(
                f"the verifier is gone for {self._policy.dead_after:g} seconds ({error});"
                " what was collected is on disk: start it and run again with --resume"
            )


def _agents_verdict(reply: Reply) -> Verdict:
    """The reward that an agent brought, with its components where they are numbers."""
    assert reply.reward is not None  # noqa: S101 - asked before the call
    parts = reply.fields.get("reward_components")
    given = parts.items() if isinstance(parts, dict) else ()
    return Verdict(reply.reward, {name: part for name, part in given if _is_number(part)})


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def most_beside(slots: int) -> int:
    """How many replies may be with a verifier that waits, or wait for it. So many are held in memory; a judge slower
    than the model in the long run slows the run down to its own pace, one that is slow at times does not."""
    return max(1000, 4 * slots)


class Beside(Generic[T]):
    """Does `work` on each item in tasks of `group`, as many at once as there are items, and about `most` of them or
    `most_bytes` at the most.

    Tasks are kept for further items: a new one for each would cost more than the rest of a rollout.
    """

    def __init__(self, group: TaskGroup, work: Callable[[T], Awaitable[None]], most: int, most_bytes: int) -> None:
        self.held = 0
        """Items given that are not done yet."""
        self.held_bytes = 0
        self._group = group
        self._work = work
        self._most = most
        self._most_bytes = most_bytes
        self._items: deque[tuple[T, int]] = deque()
        self._idle: list[asyncio.Future[bool]] = []
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._empty: asyncio.Future[None] | None = None

    @property
    def full(self) -> bool:
        return self.held >= self._most or self.held_bytes >= self._most_bytes

    def add(self, item: T, size: int) -> None:
        """Takes an item of `size` bytes, always; whoever may wait asks for `room` first."""
        self.held += 1
        self.held_bytes += size
        self._items.append((item, size))
        if self._idle:
            self._idle.pop().set_result(True)
        else:
            self._group.start_soon(self._run)

    async def room(self) -> None:
        """Returns when there is room for an item."""
        while self.full:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    async def finish(self) -> None:
        """Returns when every item is done; no further one may come."""
        if self.held:
            self._empty = asyncio.get_running_loop().create_future()
            await self._empty
        while self._idle:
            self._idle.pop().set_result(False)

    async def _run(self) -> None:
        goes_on = True
        while goes_on:
            while self._items:
                item, size = self._items.popleft()
                await self._work(item)
                del item  # an idle task must not keep the last reply it had
                self._done(size)
            idle = asyncio.get_running_loop().create_future()
            self._idle.append(idle)
            goes_on = await idle

    def _done(self, size: int) -> None:
        self.held -= 1
        self.held_bytes -= size
        if self._waiters and not self.full:
            self._wake()
        if self._empty is not None and not self.held and not self._empty.done():
            self._empty.set_result(None)

    def _wake(self) -> None:
        """Lets one who waits go on for each item that is done, so that they come evenly; once half of the room is free,
        all: one large item may have held up many, and no further one need come to an end."""
        roomy = 2 * self.held <= self._most and 2 * self.held_bytes <= self._most_bytes
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                if not roomy:
                    return
