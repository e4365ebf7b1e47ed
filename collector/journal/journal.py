"""A run's output while it lives: one lock, one writer, rows that are on disk when `append` returns.

asyncio only (see `commit`). Not covered here: the order of the sealed file (`seal`) and what a row says (`records`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import msgspec

from collector.errors import PairmillError
from collector.journal.appendfile import AppendFile
from collector.journal.aside import discard, put_back
from collector.journal.commit import GroupCommit, Landed
from collector.journal.disk import DISK, Disk
from collector.journal.keys import KeySet
from collector.journal.lock import hold_lock
from collector.journal.opening import Opened, make_folder, prepare
from collector.journal.paths import StreamPaths, check_output
from collector.journal.runfile import RunFile, RunState, now, write_run_file
from collector.journal.seal import SealResult, seal
from collector.journal.survey import RepeatsOf

__all__ = ["Journal", "open_journal"]

_T = TypeVar("_T")


@asynccontextmanager
async def open_journal(
    paths: StreamPaths,
    *,
    resume: bool,
    overwrite: bool,
    identity: Mapping[str, Any],
    input_digest: str,
    num_repeats: int,
    input_path: Path | None = None,
    verifier_code: str | None = None,
    disk: Disk = DISK,
) -> AsyncIterator[Journal]:
    """Takes the output's lock, brings its files into order, and closes them when the block ends, however it ends.

    `identity` is what `CollectSettings.identity()` gives, `num_repeats` the most rollouts that any task has. A run that
    was not closed or sealed inside the block is left as "interrupted" when the block was cancelled, else as "stopped".
    Raises OutputError (exists already, locked, cannot be written), ResumeError (other settings or input) and
    StreamError (damaged journal).
    """
    check_output(paths, resume=resume, overwrite=overwrite)  # before the lock, so that no stray lock file is made
    run = RunFile.begin(identity, input_digest, input_path, verifier_code)
    make_folder(paths.rollouts.parent, disk)
    with hold_lock(paths.lock), ThreadPoolExecutor(1, thread_name_prefix="journal") as writer:
        opened = await _in_thread(
            writer, partial(prepare, paths, run, num_repeats, resume=resume, overwrite=overwrite, disk=disk)
        )
        journal = Journal(paths, opened, num_repeats, writer, disk)
        try:
            yield journal
        except BaseException as error:
            await journal.abandon("stopped" if isinstance(error, Exception) else "interrupted")
            raise
        await journal.close("stopped")


class Journal:
    """Made by `open_journal`. `done` are the rollouts that were on disk when it was opened, `notes` what the user
    should know about how it was found."""

    def __init__(self, paths: StreamPaths, opened: Opened, num_repeats: int, writer: Executor, disk: Disk) -> None:
        self.paths = paths
        self.done: KeySet = opened.done
        self.notes: list[str] = opened.notes
        self._run = opened.run
        self._num_repeats = num_repeats
        self._writer = writer
        self._disk = disk
        self._commit = GroupCommit(self._open_file, writer)
        self._rows_name = str(paths.rollouts)
        self._failures_name = str(paths.failures)
        self._closed = False
        self._replaces = opened.replaces

    @property
    def rows(self) -> int:
        """Rollouts that are durable: those found at the start and those acknowledged since."""
        return len(self.done) + self._commit.acknowledged.get(self._rows_name, 0)

    @property
    def failures(self) -> int:
        """Failed attempts recorded by this run."""
        return self._commit.acknowledged.get(self._failures_name, 0)

    async def append(self, line: bytes) -> None:
        """Returns when `line`, one row with its newline, is durable.

        A caller that is cancelled while it waits does not take its row back: it may be there on resume. Raises
        OutputError when the disk fails, now and for every later row; nothing acknowledged before is lost.
        """
        await self._submit(self._rows_name, line)

    async def append_failure(self, line: bytes) -> None:
        """As `append`, for a row of the failures file; goes out in the same commit."""
        await self._submit(self._failures_name, line)

    def tell(self, landed: Landed) -> None:
        """`landed` is called, in the event loop, whenever lines that were handed in are durable, or have failed."""
        self._commit.landed = landed

    def hand(self, line: bytes) -> None:
        """As `append`, without waiting: who was given to `tell` is told when it is durable. Lines handed in, of either
        file, land in their order. Raises OutputError at once when the disk has failed before."""
        self._check(self._rows_name, line)
        self._commit.hand(self._rows_name, line)

    def hand_failure(self, line: bytes) -> None:
        """As `hand`, for a row of the failures file."""
        self._check(self._failures_name, line)
        self._commit.hand(self._failures_name, line)

    async def close(self, state: RunState = "interrupted", counts: Mapping[str, Any] | None = None) -> None:
        """Waits for what is being written, closes the files and writes the run file; then only `seal` may follow.

        Does nothing when it was called before. `counts` are put beside the journal's own in the run file. The lock is
        kept until the end of the `open_journal` block.
        """
        if self._closed:
            return
        self._closed = True
        with anyio.CancelScope(shield=True):
            await self._commit.drain()
            self._commit.close()
            await self._record(state, {"rollouts": self.rows, "failed_attempts": self.failures, **(counts or {})})
            if self._replaces and state != "collected":
                await _in_thread(self._writer, partial(put_back, self.paths, self._disk))

    async def seal(
        self,
        total_tasks: int | None = None,
        *,
        repeats_of: RepeatsOf | None = None,
        counts: Mapping[str, Any] | None = None,
    ) -> SealResult:
        """Closes the journal when it is open, puts its file into aabbcc order (see `seal.seal`) and marks the run as
        finished. `total_tasks` is the number of prompt rows. Raises OutputError, StreamError."""
        await self.close("collected")
        with anyio.CancelScope(shield=True):
            await _in_thread(self._writer, self._forget_replaced)
            work = partial(seal, self.paths, self._num_repeats, total_tasks, repeats_of=repeats_of, disk=self._disk)
            result = await _in_thread(self._writer, work)
            await self._record(
                "finished",
                {
                    "rollouts": result.rows,
                    "groups": result.groups,
                    "incomplete_rollouts": result.incomplete_rows,
                    "incomplete_groups": result.incomplete_groups,
                    "missing_groups": result.missing_groups,
                    "duplicates": result.duplicates,
                    **(counts or {}),
                },
            )
        return result

    async def abandon(self, state: RunState) -> None:
        """`close` on the way out of an error: that error is the one to be seen, not a second one of the disk."""
        try:
            await self.close(state)
        except PairmillError:
            pass

    def _submit(self, name: str, line: bytes) -> asyncio.Future[None]:
        self._check(name, line)
        return self._commit.submit(name, line)

    def _check(self, name: str, line: bytes) -> None:
        if self._closed:
            raise RuntimeError(f"{name}: the journal is closed; nothing can be appended to it")
        if not line or line.find(b"\n") != len(line) - 1:
            raise ValueError(f"a row must be one line that ends in a newline, not {line[:80]!r}")

    async def _record(self, state: RunState, counts: Mapping[str, Any]) -> None:
        finished = None if state in ("running", "collected") else now()
        self._run = msgspec.structs.replace(
            self._run, state=state, counts={**self._run.counts, **counts}, finished=finished
        )
        await _in_thread(self._writer, partial(write_run_file, self.paths.run, self._run, self._disk))

    def _open_file(self, name: str) -> AppendFile:
        begins = name == self._rows_name and self._replaces
        return AppendFile(Path(name), self._disk, self._forget_replaced if begins else None)

    def _forget_replaced(self) -> None:
        """What this run overwrites is kept until here. Where the disk will not let go of it, the next run will."""
        if self._replaces:
            self._replaces = False
            with suppress(OSError):
                discard(self.paths, self._disk)


async def _in_thread(executor: Executor, work: Callable[[], _T]) -> _T:
    return await asyncio.get_running_loop().run_in_executor(executor, work)
