"""Rows on their way to the disk: handed to the journal without waiting, counted when they are durable.

What is not durable yet is bounded in bytes, so that a slow disk slows the run and does not grow its memory.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from collector.errors import OutputError
from collector.journal import Journal
from collector.records.rows import Reply, Task, Verdict

__all__ = ["Delivery", "Durable"]

_MOST_BYTES = 4 * 2**20
"""A commit takes milliseconds, so this is hundreds of megabytes a second: only a disk that hangs fills it for long.
Sooner or later one does for a moment: the peak of a long run then holds all of it three times over (replies, rows,
their copy for the disk), that of a short one may not. With 16 MiB, ten times the rollouts took 28% more memory; with
this 3%."""

Durable = Callable[[Task, Reply, Verdict | None, tuple[str, ...]], None]
"""Told of each rollout that is on disk: its task, reply, verdict and further flags."""
_Rollout = tuple[Task, Reply, Verdict | None, tuple[str, ...]]


class Delivery:
    """Hands over lines, one event loop's. A line always goes in; whoever may wait asks for `room` before the next.

    `durable` is called for each rollout once it is on disk, and not if it never is. After a disk error every call
    raises the journal's OutputError, and after an error of `durable` that error: its rollouts stay on disk.
    """

    def __init__(self, journal: Journal, durable: Durable, most_bytes: int = _MOST_BYTES) -> None:
        self.full = False
        """Whether more is on its way than should be."""
        self._journal = journal
        self._durable = durable
        self._most_bytes = most_bytes
        self._bytes = 0
        self._under_way: deque[tuple[int, _Rollout | None]] = deque()
        self._waiters: list[asyncio.Future[None]] = []
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        journal.tell(self._landed)

    def rollout(self, line: bytes, rollout: _Rollout) -> None:
        """Hands over a row of the rollouts file, with what `durable` is to be told."""
        self._journal.hand(line)
        self._add(line, rollout)

    def failure(self, line: bytes) -> None:
        """Hands over a row of the failures file."""
        self._journal.hand_failure(line)
        self._add(line, None)

    async def room(self) -> None:
        """Returns when less is on its way than may be."""
        while self.full:
            await self._change()

    async def flush(self) -> None:
        """Returns when everything handed over is durable."""
        while self._under_way:
            await self._change()
        if self._broken.done():
            self._broken.result()

    async def watch(self) -> None:
        """Never returns; raises OutputError as soon as the disk fails, and what `durable` raised."""
        await asyncio.shield(self._broken)

    def _add(self, line: bytes, rollout: _Rollout | None) -> None:
        size = len(line)
        self._under_way.append((size, rollout))
        self._bytes += size
        self.full = self._bytes >= self._most_bytes

    async def _change(self) -> None:
        if not self._broken.done():
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        if self._broken.done():
            self._broken.result()

    def _landed(self, count: int, error: OutputError | None) -> None:
        """The oldest `count` lines are durable, or failed."""
        if error is None:
            self._count(count)
        else:
            self._break(error)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _count(self, count: int) -> None:
        for _ in range(count):
            size, rollout = self._under_way.popleft()
            self._bytes -= size
            if rollout is not None:
                self._tell(rollout)
        self.full = self._bytes >= self._most_bytes

    def _tell(self, rollout: _Rollout) -> None:
        try:
            self._durable(*rollout)
        except Exception as error:  # an observer's bug ends the run; raised here, in a callback, it would be lost
            self._break(error)

    def _break(self, error: Exception) -> None:
        if not self._broken.done():
            self._broken.set_exception(error)
            self._broken.exception()  # read, so that nothing is reported should nobody be watching any more
