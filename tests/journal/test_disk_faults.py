"""Every call that changes the disk fails once, first, second, third ...: nothing acknowledged is ever lost."""

from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest

from collector.errors import OutputError
from collector.journal import StreamPaths
from collector.journal.disk import DISK, Disk
from tests.journal.helpers import FaultyDisk, Key, QuickDisk, keys_of, opened, resume_and_seal, row

_REPEATS = 2
_EARLY = [row(task, rollout) for task, rollout in ((2, 1), (0, 0), (0, 1), (4, 0), (2, 0))]
_LATE: list[Key] = [(3, 1), (1, 0), (3, 0), (4, 1)]
_ALL: list[Key] = [(task, rollout) for task in range(5) for rollout in range(_REPEATS)]


async def _scenario(paths: StreamPaths, disk: Disk) -> set[Key]:
    """A run over what an earlier one left: heals, takes rows back, appends (with a failure), seals with a hole in it.
    Gives the keys that were acknowledged, whether or not the disk failed."""
    acknowledged: set[Key] = set()

    async def append(key: Key) -> None:
        if key not in journal.done:
            await journal.append(row(*key))
            acknowledged.add(key)

    try:
        async with opened(paths, resume=True, disk=disk) as journal:
            for error in await asyncio.gather(*map(append, _LATE), return_exceptions=True):
                if error is not None:
                    raise error
            await journal.append_failure(row(1, 1))
            await journal.seal(5)
    except OutputError as error:
        assert "rollouts" in str(error)  # names the file, whatever it was that failed
        assert "--resume" in str(error) or "--output" in str(error)
    return acknowledged


async def _leave_a_killed_run(paths: StreamPaths) -> None:
    """A sealed file, an incomplete one beside it, and a torn line at the end."""
    async with opened(paths, disk=QuickDisk()) as journal:
        for line in _EARLY:
            await journal.append(line)
        await journal.append_failure(row(1, 0))
        await journal.seal()
    with paths.rollouts.open("ab") as file:
        file.write(row(1, 0)[:9])


async def _finish(paths: StreamPaths) -> bytes:
    """The sealed file of a last run without faults."""
    async with opened(paths, resume=True, disk=QuickDisk()) as journal:
        missing = [key for key in _ALL if key not in journal.done]
    await resume_and_seal(paths, [row(*key) for key in missing], disk=QuickDisk())
    assert not paths.incomplete.exists()
    return paths.rollouts.read_bytes()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
async def test_any_failed_call_leaves_an_output_that_a_resume_finishes(tmp_path: Path, code: int) -> None:
    """After each: acknowledged rows are there, files are readable, and the end is that of an uninterrupted run."""
    expected = b"".join(row(*key) for key in _ALL)
    for nth in range(1, 200):
        paths = StreamPaths.for_output(tmp_path / str(nth) / "rollouts.jsonl")
        await _leave_a_killed_run(paths)
        disk = FaultyDisk(nth, code=code)
        acknowledged = await _scenario(paths, disk)
        if not disk.reached:
            break
        on_disk = {*_keys_of_whole_lines(paths.rollouts), *keys_of(paths.incomplete)}
        assert acknowledged <= on_disk
        assert {(2, 1), (0, 0), (0, 1), (4, 0), (2, 0)} <= on_disk
        assert keys_of(paths.failures)[0] == (1, 0)
        assert await _finish(paths) == expected
    else:
        pytest.fail("the scenario never came to its end")
    assert acknowledged == set(_LATE)


def _keys_of_whole_lines(path: Path) -> list[Key]:
    """As `keys_of`, but over the torn line that the scenario began with, when opening failed before it was healed."""
    content = path.read_bytes()
    torn = row(1, 0)[:9]
    if content.endswith(torn):
        path.write_bytes(content.removesuffix(torn))
    keys = keys_of(path)
    path.write_bytes(content)
    return keys


async def test_the_scenario_makes_every_kind_of_call(paths: StreamPaths) -> None:
    """Else the loop above would prove less than it says."""
    kinds: set[str] = set()

    class Recorder(FaultyDisk):
        def _step(self, name: str) -> None:
            kinds.add(name)

    await _leave_a_killed_run(paths)
    await _scenario(paths, Recorder(0))
    async with opened(paths, overwrite=True, disk=Recorder(0)) as journal:
        await journal.append(row(0, 0))
    assert kinds == {name for name in vars(type(DISK)) if not name.startswith("_")}
