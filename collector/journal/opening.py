"""Brings an output's files into the state that a run appends to: fresh, emptied, or healed and read for a resume."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from collector.errors import OutputError
from collector.journal.aside import put_back, recover, set_aside
from collector.journal.disk import Disk, close_quietly, describe, reporting
from collector.journal.heal import heal_tail
from collector.journal.incomplete import absorb
from collector.journal.keys import KeySet
from collector.journal.paths import StreamPaths, check_output
from collector.journal.runfile import RunFile, check_same_run, write_run_file
from collector.journal.scan import scan_keys
from collector.journal.scoring import asked_otherwise

__all__ = ["Opened", "make_folder", "prepare"]

_READ_ONLY = "give an --output in a folder that can be written"


@dataclass(slots=True)
class Opened:
    """An output ready to be appended to: the run file as it stands on disk, the rollouts there, and what the user
    should know about how it was found. `replaces` an older one that can still be put back."""

    run: RunFile
    done: KeySet
    notes: list[str] = field(default_factory=list)
    replaces: bool = False


def make_folder(folder: Path, disk: Disk) -> None:
    """Makes the output's folder and those above it, durably. Raises OutputError."""
    try:
        new = [path for path in (folder, *folder.parents) if not path.exists()]
        folder.mkdir(parents=True, exist_ok=True)
        for path in new:
            disk.sync_folder(path.parent)
    except FileExistsError:
        raise OutputError(f"{folder}: is a file, and the output's folder should be there; {_READ_ONLY}") from None
    except OSError as error:
        raise OutputError(f"{folder}: {describe(error)}; {_READ_ONLY}") from None


def prepare(paths: StreamPaths, run: RunFile, num_repeats: int, *, resume: bool, overwrite: bool, disk: Disk) -> Opened:
    """Does what `resume` and `overwrite` say, under the lock that the caller holds. Blocks.

    The run file is written before the first row and removed before the last: rows without one cannot be told apart
    from another run's, and are never touched. Raises OutputError, ResumeError, StreamError.
    """
    back = recover(paths, disk)
    check_output(paths, resume=resume, overwrite=overwrite)
    for path in paths.scratch:
        with reporting(path, _READ_ONLY):
            disk.unlink(path)
    if resume and paths.hold_rows():
        opened = _resume(paths, run, num_repeats, disk)
        opened.notes += [back] if back else []
        return opened
    opened = Opened(run, KeySet(num_repeats))
    if resume:
        opened.notes.append(f"{paths.rollouts}: nothing to resume; starting fresh")
    try:
        opened.replaces = overwrite and _replace(paths, disk)
        write_run_file(paths.run, run, disk)
        _create(paths.rollouts, disk)
    except OutputError:
        if paths.overwritten.exists():
            with suppress(OutputError):  # the first error tells the story; the next opening tries again
                put_back(paths, disk)
        raise
    return opened


def _replace(paths: StreamPaths, disk: Disk) -> bool:
    """Clears the way for a new run; True when the old one is kept until that has a rollout."""
    with reporting(paths.rollouts, _READ_ONLY):
        kept = set_aside(paths, disk)
        for path in (paths.run, paths.limits, paths.decisions, paths.incomplete, paths.failures, paths.rollouts):
            disk.unlink(path)
        disk.sync_folder(paths.rollouts.parent)
    return kept


def _resume(paths: StreamPaths, run: RunFile, num_repeats: int, disk: Disk) -> Opened:
    before = check_same_run(paths, run)
    opened = Opened(msgspec.structs.replace(run, started=before.started, counts=before.counts), KeySet(num_repeats))
    if before.settings.get("endpoint") != run.settings.get("endpoint"):
        opened.notes.append(
            f"{run.settings['model']} was served by {before.settings.get('endpoint')} when this run began,"
            f" and is now by {run.settings.get('endpoint')}"
        )
    opened.notes += [
        f"{flag} was {was} when this run began, and is now {now}"
        for flag, was, now in asked_otherwise(before.settings, run.settings)
    ]
    _create(paths.rollouts, disk)
    for path in (paths.rollouts, paths.failures):
        note = heal_tail(path, disk) if path.exists() else None
        if note:
            opened.notes.append(note)
    with reporting(paths.rollouts, "check the disk, then run again with --resume"):
        scan_keys(paths.rollouts, opened.done)
        _sync(paths.rollouts, disk)
    if before.verifier_code != run.verifier_code and len(opened.done):
        opened.notes.append(
            f"the verifier's code has changed since this run began: {len(opened.done)} rollouts keep their old rewards"
        )
    taken = absorb(paths, opened.done, disk)
    if taken:
        opened.notes.append(f"{paths.incomplete}: took {taken} rows of incomplete groups back into the run")
    write_run_file(paths.run, opened.run, disk)
    return opened


def _create(path: Path, disk: Disk) -> None:
    if path.exists():
        return
    with reporting(path, _READ_ONLY):
        close_quietly(disk.open(path, os.O_WRONLY | os.O_CREAT))
        disk.sync_folder(path.parent)


def _sync(path: Path, disk: Disk) -> None:
    """A killed run may have written rows that it never got to sync: they count as done, so they must be durable."""
    fd = disk.open(path, os.O_RDWR)
    try:
        disk.sync(fd)
    finally:
        close_quietly(fd)
