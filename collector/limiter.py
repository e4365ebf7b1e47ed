"""How many requests may be in flight: a fixed number, or one that changes. First come, first served, so requests start
in input order. Not covered here: what the number should be (`adaptive`)."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AbstractAsyncContextManager
from typing import Protocol

__all__ = ["AdaptiveLimiter", "FixedLimiter", "Limiter"]


class Limiter(Protocol):
    """Hands out slots in the order in which they were asked for."""

    @property
    def limit(self) -> int:
        """How many slots there are now."""

    @property
    def in_flight(self) -> int:
        """How many slots are taken."""

    @property
    def high_water(self) -> int:
        """The most slots that were ever taken at once."""

    async def acquire(self) -> None:
        """Wait for a slot. Cancelled while it waits, it takes none."""

    def release(self) -> None:
        """Give one slot back; the one who waited longest has it at once."""

    def slot(self) -> AbstractAsyncContextManager[None]:
        """`async with limiter.slot():` takes a slot and gives it back."""


class FixedLimiter:
    """Counts. Never more than `limit` slots are out, and a free slot never waits beside a waiter. asyncio only, and
    without a semaphore, which costs several times as much where a slot is free."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.in_flight = 0
        self.high_water = 0
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._slot = _Slot(self)

    async def acquire(self) -> None:
        # Does not yield to the loop when a slot is free: each request awaits the network anyway.
        if self.in_flight < self.limit and not self._waiters:
            self._take()
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release()  # the slot was handed over already
            elif waiter in self._waiters:  # one that was cancelled with it may have passed it over already
                self._waiters.remove(waiter)
            raise

    def release(self) -> None:
        """Raises ValueError when no slot is out."""
        if self.in_flight < 1:
            raise ValueError("a slot was released too many times")
        self.in_flight -= 1
        while self._waiters and self.in_flight < self.limit:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._take()
                waiter.set_result(None)

    def _take(self) -> None:
        self.in_flight += 1
        if self.in_flight > self.high_water:
            self.high_water = self.in_flight

    def slot(self) -> AbstractAsyncContextManager[None]:
        return self._slot


class AdaptiveLimiter(FixedLimiter):
    """A limiter whose limit may change at any time. Slots that are out stay out: a smaller limit holds back those that
    come next, until as many were given back."""

    def resize(self, limit: int) -> None:
        """`limit` slots from now on; those who wait have what is free at once, the longest waiting first. Raises
        ValueError for a limit below 1."""
        if limit < 1:
            raise ValueError(f"a limit of {limit}: nothing would ever be sent")
        self.limit = limit
        while self._waiters and self.in_flight < limit:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._take()
                waiter.set_result(None)


class _Slot(AbstractAsyncContextManager[None]):
    """One for all: it keeps no state, so it can be entered any number of times at once."""

    def __init__(self, limiter: FixedLimiter) -> None:
        self._limiter = limiter

    async def __aenter__(self) -> None:
        await self._limiter.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._limiter.release()
