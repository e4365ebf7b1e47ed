"""Group commit: lines that arrive while the disk is busy go out together, and are acknowledged when durable.

asyncio only, not trio: with futures and callbacks a durable row costs about 6 us of processor time at 128 in flight,
where anyio's memory stream alone costs 5 to 20 and its thread limiter 64 (measured). Callbacks rather than a task,
because no cancel scope reaches them: a commit that began ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

from collector.errors import OutputError
from collector.journal.appendfile import AppendFile
from collector.journal.disk import describe

__all__ = ["GroupCommit"]

_CROWD = 8
_LINGER = 0.004
"""Seconds to wait for more lines after a commit of a crowd or more. A commit costs about 170 us of processor time
whatever its size: a run of thousands of rows a second saves most of them, one of few rows a second waits for none."""


Landed = Callable[[int, OutputError | None], None]
"""Told of lines that were handed in: how many of them, the oldest first, are durable now, or what they failed with."""


class _Batch:
    """`size` lines; of them `handed` without anyone waiting."""

    __slots__ = ("handed", "lines", "size", "waiters")

    def __init__(self) -> None:
        self.lines: dict[str, list[bytes]] = {}
        self.waiters: list[asyncio.Future[None]] = []
        self.size = 0
        self.handed = 0


class GroupCommit:
    """The only writer of a run's files. `submit` belongs to the event loop's thread; writing happens in `executor`.

    `open_file` opens a file by its name at its first line. After the first disk error nothing is written any more:
    every line not yet acknowledged, and every later one, gets the same OutputError.
    """

    def __init__(self, open_file: Callable[[str], AppendFile], executor: Executor) -> None:
        self.acknowledged: dict[str, int] = {}
        self._open_file = open_file
        self._executor = executor
        self._loop = asyncio.get_running_loop()
        self._files: dict[str, AppendFile] = {}
        self._batch = _Batch()
        self._running = False
        self._idle: asyncio.Future[None] | None = None
        self._error: str | None = None
        self.landed: Landed | None = None
        """Called for what was handed in, once for each commit: a future for each line would cost more than its
        writing."""

    def submit(self, name: str, line: bytes) -> asyncio.Future[None]:
        """A future that is done when `line` is durable. Cancelling it does not take the line back."""
        batch = self._put(name, line)
        waiter = self._loop.create_future()
        batch.waiters.append(waiter)
        return waiter

    def hand(self, name: str, line: bytes) -> None:
        """As `submit`, for a line that nobody waits for: `landed` is told. Lines land in the order of their handing."""
        self._put(name, line).handed += 1

    def _put(self, name: str, line: bytes) -> _Batch:
        if self._error is not None:
            raise OutputError(self._error)
        batch = self._batch
        lines = batch.lines.get(name)
        if lines is None:
            lines = batch.lines[name] = []
        lines.append(line)
        batch.size += 1
        if not self._running:
            self._running = True
            self._loop.call_soon(self._begin)  # not at once: whoever else is ready to append comes along
        return batch

    async def drain(self) -> None:
        """Returns when nothing is being written and nothing waits to be."""
        if self._running:
            if self._idle is None:
                self._idle = self._loop.create_future()
            await asyncio.shield(self._idle)

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _begin(self) -> None:
        batch, self._batch = self._batch, _Batch()
        try:
            work = self._loop.run_in_executor(self._executor, self._write, batch.lines)
        except RuntimeError as error:  # the executor was shut down under us
            self._fail(f"the writer stopped: {error}", batch)
        else:
            work.add_done_callback(partial(self._end, batch))

    def _write(self, lines: dict[str, list[bytes]]) -> str | None:
        """In the writer's thread. What went wrong, or None."""
        name = ""
        try:
            for name, group in lines.items():
                if name not in self._files:
                    self._files[name] = self._open_file(name)
                self._files[name].write(b"".join(group))
                self._files[name].sync()
        except Exception as error:  # whatever it was, no line may be left half-written, and no waiter hang
            for file in self._files.values():
                file.cut()
            return f"{name}: {describe(error) if isinstance(error, OSError) else repr(error)}"
        return None

    def _end(self, batch: _Batch, work: asyncio.Future[str | None]) -> None:
        try:
            problem = work.result()
        except BaseException as error:  # a bug, or the executor's end: the waiters must not hang on it
            problem = f"the writer stopped: {error!r}"
        if problem is not None:
            self._fail(problem, batch)
            return
        for name, lines in batch.lines.items():
            self.acknowledged[name] = self.acknowledged.get(name, 0) + len(lines)
        for waiter in batch.waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._tell(batch.handed, None)
        if not self._batch.size:
            self._rest()
        elif batch.size >= _CROWD and self._idle is None:
            self._loop.call_later(_LINGER, self._begin)
        else:
            self._begin()

    def _fail(self, problem: str, batch: _Batch) -> None:
        self._error = (
            f"{problem}; stopped, and every row acknowledged before is safe: make room, then run again with --resume"
        )
        for waiter in (*batch.waiters, *self._batch.waiters):
            if not waiter.done():
                waiter.set_exception(OutputError(self._error))
        handed = batch.handed + self._batch.handed
        self._batch = _Batch()
        self._tell(handed, OutputError(self._error))
        self._rest()

    def _tell(self, handed: int, error: OutputError | None) -> None:
        """Whoever is told may have a bug: it goes to the loop's handler of errors, and the writing goes on."""
        if not handed or self.landed is None:
            return
        try:
            self.landed(handed, error)
        except Exception as bug:
            self._loop.call_exception_handler({"message": "telling of durable lines failed", "exception": bug})

    def _rest(self) -> None:
        self._running = False
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        self._idle = None
