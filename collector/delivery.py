"""Rows on their way to the disk: handed to the journal without waiting, counted when they are durable.

What is not durable yet is bounded in bytes, so that a slow disk slows the run and does not grow its memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from collector.journal import Journal

__all__ = ["Delivery"]

_MOST_BYTES = 16 * 2**20
"""A commit takes milliseconds, so this is gigabytes a second: only a disk that hangs ever fills it."""


class Delivery:
    """Hands over lines, one event loop's. A line always goes in; whoever may wait asks for `room` before the next.

    After a disk error every call raises the journal's OutputError.
    """

    def __init__(self, journal: Journal, most_bytes: int = _MOST_BYTES) -> None:
        self._journal = journal
        self._most_bytes = most_bytes
        self._bytes = 0
        self._waiters: list[asyncio.Future[None]] = []
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def full(self) -> bool:
        """Whether more is on its way than should be."""
        return self._bytes >= self._most_bytes

    def rollout(self, line: bytes, durable: Callable[[], None]) -> None:
        """Hands over a row of the rollouts file; `durable` is called once it is on disk, and not if it never is."""
        self._bytes += len(line)
        self._journal.submit(line).add_done_callback(partial(self._landed, len(line), durable))

    def failure(self, line: bytes) -> None:
        """Hands over a row of the failures file."""
        self._bytes += len(line)
        self._journal.submit_failure(line).add_done_callback(partial(self._landed, len(line), None))

    async def room(self) -> None:
        """Returns when less is on its way than may be."""
        while self.full:
            await self._change()

    async def flush(self) -> None:
        """Returns when everything handed over is durable."""
        while self._bytes:
            await self._change()

    async def watch(self) -> None:
        """Never returns; raises OutputError as soon as the disk fails."""
        await asyncio.shield(self._broken)

    async def _change(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        await asyncio.wait((waiter, self._broken), return_when=asyncio.FIRST_COMPLETED)
        if self._broken.done():
            self._broken.result()

    def _landed(self, size: int, durable: Callable[[], None] | None, line: asyncio.Future[None]) -> None:
        error = line.exception()
        if error is not None:
            if not self._broken.done():
                self._broken.set_exception(error)
                self._broken.exception()  # read, so that nothing is reported should nobody be watching any more
            return
        self._bytes -= size
        if durable is not None:
            durable()
        if self._waiters and not self.full:
            self._wake()

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)
