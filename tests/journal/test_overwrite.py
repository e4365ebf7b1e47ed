"""--overwrite keeps the old run until the new one has a rollout on disk; a crash leaves the one or the other."""

from __future__ import annotations

import errno
import itertools
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

import pytest

from collector.errors import OutputError, ResumeError
from collector.journal import Journal, StreamPaths, check_output, open_journal, read_run_file
from collector.journal.disk import Disk
from tests.journal.helpers import (
    DIGEST,
    IDENTITY,
    FaultyDisk,
    Key,
    Killed,
    MortalDisk,
    QuickDisk,
    keys_of,
    opened,
    resume_and_seal,
    row,
    write_rows,
)

_NEW = {**IDENTITY, "model": "another"}


async def _old_run(paths: StreamPaths) -> dict[str, bytes]:
    """A finished run with all of its files: whole and incomplete groups, and a failure."""
    await write_rows(paths, [row(0, 0), row(0, 1), row(1, 0)])
    async with opened(paths, resume=True, disk=QuickDisk()) as journal:
        await journal.append_failure(row(1, 1))
    await resume_and_seal(paths, disk=QuickDisk())
    return _files(paths)


def _files(paths: StreamPaths) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in paths.rollouts.parent.iterdir() if path.is_file()}


def _overwriting(paths: StreamPaths, disk: Disk | None = None) -> AbstractAsyncContextManager[Journal]:
    return open_journal(
        paths,
        resume=False,
        overwrite=True,
        identity=_NEW,
        input_digest=DIGEST,
        num_repeats=2,
        disk=disk or QuickDisk(),
    )


async def test_the_first_durable_rollout_replaces_the_old_run(paths: StreamPaths) -> None:
    """Until then every old file can be had again; from then on nothing is left of them."""
    old = await _old_run(paths)
    async with _overwriting(paths) as journal:
        assert {path.name: path.read_bytes() for path in paths.overwritten.iterdir()} == old
        await journal.append_failure(row(0, 0))
        assert paths.overwritten.exists()
        await journal.append(row(7, 0, "new"))
        assert not paths.overwritten.exists()
    assert paths.rollouts.read_bytes() == row(7, 0, "new")
    assert keys_of(paths.failures) == [(0, 0)]
    assert not paths.incomplete.exists()


@pytest.mark.parametrize("ending", ["error", "end of the block", "close"])
async def test_a_run_without_a_rollout_puts_the_old_one_back(paths: StreamPaths, ending: str) -> None:
    """Whether it was stopped, broken off or hopeless: all old files stand again, byte for byte."""
    old = await _old_run(paths)
    with suppress(KeyError):
        async with _overwriting(paths) as journal:
            if ending == "close":
                await journal.close("interrupted")
            if ending == "error":
                raise KeyError
    assert _files(paths) == old
    assert not paths.overwritten.exists()
    assert (await resume_and_seal(paths, [row(1, 1)])).rows == 4


async def test_the_failures_of_a_hopeless_run_stay(paths: StreamPaths) -> None:
    """They tell why it made no rollout; they take the place of the old ones, and the old rollouts are back."""
    old = await _old_run(paths)
    async with _overwriting(paths) as journal:
        await journal.append_failure(row(0, 1, "why"))
    assert _files(paths) == {**old, paths.failures.name: row(0, 1, "why")}


async def test_a_run_that_ends_with_nothing_replaces_the_old_one(paths: StreamPaths) -> None:
    """A sealed run is a result, an empty one too: old rollouts under its name would be taken for its own."""
    await _old_run(paths)
    async with _overwriting(paths) as journal:
        await journal.append_failure(row(0, 0))
        assert (await journal.seal(3)).rows == 0
    assert paths.rollouts.read_bytes() == b""
    assert not paths.overwritten.exists()
    run = read_run_file(paths.run)
    assert run is not None
    assert (run.state, run.settings["model"]) == ("finished", "another")


async def _overwrite(paths: StreamPaths, disk: Disk, keys: list[Key]) -> bool:
    """A new run of these rollouts, sealed, or of nothing; True when a rollout was acknowledged."""
    acknowledged = False
    with suppress(OutputError, Killed):
        async with _overwriting(paths, disk) as journal:
            for key in keys:
                await journal.append(row(*key, "new"))
                acknowledged = True
            if keys:
                await journal.seal(3)
    return acknowledged


_ROLLOUTS = [(5, 0), (5, 1), (6, 0)]


@pytest.mark.parametrize("keys", [_ROLLOUTS, []], ids=["with rollouts", "without"])
@pytest.mark.parametrize("how", ["killed before", "killed after", "ENOSPC"])
async def test_a_fault_in_any_call_leaves_the_old_run_or_the_new_one(tmp_path: Path, how: str, keys: list[Key]) -> None:
    """Never a mix, never neither: the old one to its last byte and its settings, or the new one with every rollout that
    was acknowledged. What was killed is put in order by whoever opens the output next."""
    outcomes = set()
    for nth in itertools.count(1):
        paths = StreamPaths.for_output(tmp_path / str(nth) / "rollouts.jsonl")
        old = await _old_run(paths)
        disk = FaultyDisk(nth, code=errno.ENOSPC) if how == "ENOSPC" else MortalDisk(nth, after=how == "killed after")
        acknowledged = await _overwrite(paths, disk, keys)
        if not disk.reached:
            break
        with pytest.raises(OutputError, match="exists already"):
            check_output(paths, resume=False, overwrite=False)
        try:
            async with opened(paths, resume=True, disk=QuickDisk()) as journal:
                assert [key for key in ((0, 0), (0, 1), (1, 0)) if key in journal.done] == [(0, 0), (0, 1), (1, 0)]
        except ResumeError:  # other settings: it is the new run that stands there
            is_new = True
            content = paths.rollouts.read_bytes()  # a kill may have torn its end
            lines = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
            assert lines
            assert set(lines) <= {row(*key, "new") for key in keys}
        else:
            is_new = False
            assert not acknowledged
            await resume_and_seal(paths, disk=QuickDisk())
            rows = (paths.rollouts, paths.incomplete, paths.failures)
            assert [path.read_bytes() for path in rows] == [old[path.name] for path in rows]
        outcomes.add((is_new, acknowledged))
        async with opened(paths, overwrite=True, disk=QuickDisk()) as journal:
            await journal.append(row(0, 0))
        assert {path.name for path in paths.rollouts.parent.iterdir()} == {paths.rollouts.name, paths.run.name}
    assert outcomes >= ({(False, False), (True, True)} if keys else {(False, False)})
    assert keys or outcomes == {(False, False)}


async def test_a_file_system_without_second_names_overwrites_at_once(paths: StreamPaths) -> None:
    """The old files go when the new run begins, as nothing else can be done there."""
    await _old_run(paths)
    disk = FaultyDisk(1, only="link", code=errno.EPERM)
    async with _overwriting(paths, disk):
        assert not paths.overwritten.exists()
    assert keys_of(paths.rollouts) == []
