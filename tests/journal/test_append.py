"""Appending: a row that `append` returned for is on disk, and a disk that fails says so once and for all."""

from __future__ import annotations

import asyncio
import errno
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import orjson
import pytest

from collector.errors import OutputError
from collector.journal import StreamPaths, read_run_file
from collector.journal.appendfile import AppendFile
from collector.journal.commit import GroupCommit
from collector.journal.disk import DISK, Disk
from tests.journal.helpers import FaultyDisk, keys_of, opened, resume_and_seal, row


class _WatchedDisk(Disk):
    """Counts writes and syncs, and remembers what was durable after each sync."""

    def __init__(self) -> None:
        self.writes = 0
        self.syncs = 0

    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        self.writes += 1
        return super().write(fd, data, offset)

    def sync(self, fd: int) -> None:
        self.syncs += 1
        super().sync(fd)


async def test_a_row_is_synced_before_it_is_acknowledged(paths: StreamPaths) -> None:
    """One row alone: one write, one sync, both before `append` returns."""
    disk = _WatchedDisk()
    async with opened(paths, disk=disk) as journal:
        before = disk.writes, disk.syncs
        await journal.append(row(0, 0))
        assert (disk.writes, disk.syncs) == (before[0] + 1, before[1] + 1)
        assert paths.rollouts.read_bytes() == row(0, 0)
        assert journal.rows == 1


async def test_rows_that_come_together_share_a_commit(paths: StreamPaths) -> None:
    """A hundred rows at once are one write and one sync, and stand in the order they came in."""
    disk = _WatchedDisk()
    async with opened(paths, disk=disk) as journal:
        before = disk.syncs
        await asyncio.gather(*[journal.append(row(task, 0)) for task in range(100)])
        assert disk.syncs == before + 1
    assert keys_of(paths.rollouts) == [(task, 0) for task in range(100)]


async def test_rows_that_come_while_the_disk_is_busy_wait_for_the_next_commit(paths: StreamPaths) -> None:
    """Workers that append one after another, all durable, none lost, few syncs; failures in the same commits."""
    disk = _WatchedDisk()

    async def worker(task: int) -> None:
        await journal.append(row(task, 0))
        await journal.append_failure(row(task, 0))
        await journal.append(row(task, 1))

    async with opened(paths, disk=disk) as journal:
        async with anyio.create_task_group() as group:
            for task in range(50):
                group.start_soon(worker, task)
        assert (journal.rows, journal.failures) == (100, 50)
    assert sorted(keys_of(paths.rollouts)) == [(task, rollout) for task in range(50) for rollout in range(2)]
    assert sorted(keys_of(paths.failures)) == [(task, 0) for task in range(50)]
    assert disk.syncs < 50


async def test_a_cancelled_append_leaves_whole_lines(paths: StreamPaths) -> None:
    """Cancelling the caller stops neither the commit nor those who wait for it too."""
    async with opened(paths) as journal:
        lost = asyncio.ensure_future(journal.append(row(0, 0)))
        kept = asyncio.ensure_future(journal.append(row(0, 1)))
        await asyncio.sleep(0)
        lost.cancel()
        await kept
    assert (0, 1) in keys_of(paths.rollouts)


async def test_the_close_waits_for_what_is_being_written(paths: StreamPaths) -> None:
    """A row handed over before the end of the block is durable and acknowledged after it."""
    async with opened(paths) as journal:
        waiting = [asyncio.ensure_future(journal.append(row(task, 0))) for task in range(20)]
        await asyncio.sleep(0)
    assert len(keys_of(paths.rollouts)) == journal.rows == 20
    assert await asyncio.gather(*waiting) == [None] * 20


async def test_a_cancelled_run_keeps_what_it_was_writing(paths: StreamPaths) -> None:
    """A cancel scope around everything: the files are closed in order and the run can go on."""
    with anyio.CancelScope() as scope:
        async with opened(paths) as journal:
            await journal.append(row(0, 0))
            scope.cancel()
            await journal.append(row(0, 1))
    run = read_run_file(paths.run)
    assert run is not None
    assert run.state == "interrupted"
    assert keys_of(paths.rollouts)[0] == (0, 0)
    async with opened(paths, resume=True) as journal:
        assert (0, 0) in journal.done


async def test_a_bug_of_who_is_told_stops_no_writing(paths: StreamPaths) -> None:
    """It goes to the loop's handler of errors; the lines after it are written, and the close does not hang."""
    said: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(str(context["exception"])))

    def landed(count: int, error: OutputError | None) -> None:
        raise LookupError("a bug")

    with anyio.fail_after(20):
        async with opened(paths) as journal:
            journal.tell(landed)
            for rollout in range(2):
                journal.hand(row(0, rollout))
                await journal.append(row(1, rollout))
    assert len(keys_of(paths.rollouts)) == 4
    assert said == ["a bug", "a bug"]


@pytest.mark.parametrize("line", [b"{}", b"{}\n{}\n", b'{\n"a":1}\n', b""])
async def test_what_is_not_one_line_is_never_written(paths: StreamPaths, line: bytes) -> None:
    """A reply with a newline in it would break the file for all rows after it."""
    async with opened(paths) as journal:
        with pytest.raises(ValueError, match="one line"):
            await journal.append(line)
    assert paths.rollouts.read_bytes() == b""


async def test_nothing_is_appended_after_the_close(paths: StreamPaths) -> None:
    """A row after the seal would not be in the sealed file."""
    async with opened(paths) as journal:
        await journal.close("stopped")
        with pytest.raises(RuntimeError, match="closed"):
            await journal.append(row(0, 0))


@pytest.mark.parametrize("call", ["write", "sync"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EFBIG])
async def test_a_disk_error_reaches_every_waiter_and_every_later_row(paths: StreamPaths, call: str, code: int) -> None:
    """All learn that their rows are not durable; the rows before are, and no part of a line is left."""
    disk = FaultyDisk(fail_at=10**9, only=call, code=code)
    async with opened(paths, disk=disk) as journal:
        await journal.append(row(0, 0))
        disk.fail_at = disk.calls + (2 if call == "write" else 1)
        rows = [journal.append(row(task, 0)) for task in range(1, 4)]
        for error in await asyncio.gather(*rows, return_exceptions=True):
            assert isinstance(error, OutputError)
            assert "rollouts.jsonl: " in str(error)
            assert "--resume" in str(error)
        for append in (journal.append, journal.append_failure):
            with pytest.raises(OutputError, match="every row acknowledged before is safe"):
                await append(row(5, 0))
    assert paths.rollouts.read_bytes() == row(0, 0)


async def test_a_failed_sync_is_never_tried_again(paths: StreamPaths) -> None:
    """The kernel forgets what it could not write, so a second sync would lie."""
    disk = FaultyDisk(fail_at=10**9, only="sync")
    async with opened(paths, disk=disk) as journal:
        disk.fail_at = disk.calls + 1
        for _ in range(3):
            with pytest.raises(OutputError):
                await journal.append(row(0, 0))
        assert disk.calls == disk.fail_at


async def test_a_full_device_is_one_clear_error() -> None:
    """The kernel's own ENOSPC, from /dev/full."""
    with ThreadPoolExecutor(1) as executor:
        commit = GroupCommit(lambda name: AppendFile(Path(name), DISK), executor)
        waiting = commit.submit("/dev/full", b"{}\n")
        with pytest.raises(OutputError, match="/dev/full: No space left on device; .*make room"):
            await waiting
        await commit.drain()
        commit.close()


_LIMITED = """
import asyncio, resource, sys
from collector.errors import OutputError
from collector.journal import StreamPaths
from tests.journal.helpers import opened, row

async def main():
    async with opened(StreamPaths.for_output(sys.argv[1])) as journal:
        for task in range(1000):
            await asyncio.gather(journal.append(row(task, 0)), journal.append(row(task, 1)))
            print(task, flush=True)

resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
try:
    asyncio.run(main())
except OutputError as error:
    print(error)
"""


async def test_a_file_size_limit_stops_the_run_and_not_the_next(paths: StreamPaths) -> None:
    """A real EFBIG in a process of its own: acknowledged rows are there, the file is readable, resume finishes."""
    command = [sys.executable, "-c", _LIMITED, str(paths.rollouts)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    *acknowledged, message = (await process.communicate())[0].decode().splitlines()
    assert "rollouts.jsonl: File too large; stopped" in message
    found = keys_of(paths.rollouts)
    assert {(int(task), rollout) for task in acknowledged for rollout in range(2)} <= set(found)
    rest = [row(task, rollout) for task in range(60) for rollout in range(2) if (task, rollout) not in found]
    assert (await resume_and_seal(paths, rest)).rows == 120
    assert orjson.loads(paths.run.read_bytes())["counts"]["rollouts"] == 120
