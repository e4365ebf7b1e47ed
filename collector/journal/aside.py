"""What an --overwrite replaces, kept beside the output until the new run has a durable rollout of its own.

Why a crash at any point loses nothing. Each old file gets a second name in a scratch folder, and that folder takes its
own name in one rename when all of them are in it: from then on the old run can be put back, whatever happens to the
files outside. It goes again, by a rename first, when the new run's first rollout is durable. So whoever opens the
output and finds the folder knows: where a rollout of the new run stands outside, the new run has begun; else the old
one is put back. A file system without second names keeps nothing: there the old files go when the new run begins.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from pathlib import Path

from collector.journal.disk import Disk, reporting
from collector.journal.paths import StreamPaths, scratch_of

__all__ = ["discard", "put_back", "recover", "set_aside"]

_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


def set_aside(paths: StreamPaths, disk: Disk) -> bool:
    """Gives the output's files a second name in `paths.overwritten`; False when there is nothing to keep, or no way.

    The files themselves stay where they are. Raises OSError; nothing has changed then.
    """
    if not paths.hold_rows():
        return False
    draft = scratch_of(paths.overwritten)
    _remove_folder(draft, disk)
    disk.make_folder(draft)
    try:
        for path in _kept(paths):
            if path.exists():
                disk.link(path, draft / path.name)
    except OSError as error:
        _remove_folder(draft, disk)
        if error.errno in _NO_LINKS:
            return False
        raise
    disk.sync_folder(draft)
    disk.replace(draft, paths.overwritten)
    disk.sync_folder(draft.parent)
    return True


def discard(paths: StreamPaths, disk: Disk) -> None:
    """The old files go for good. Raises OSError; what is left then is found by `recover`."""
    draft = scratch_of(paths.overwritten)
    _remove_folder(draft, disk)
    if paths.overwritten.exists():
        disk.replace(paths.overwritten, draft)
        disk.sync_folder(draft.parent)
        _remove_folder(draft, disk)


def put_back(paths: StreamPaths, disk: Disk) -> None:
    """The old run stands again as it was. Where the new one recorded failures they stay, in place of the old ones: they
    tell why there was no rollout. Raises OutputError; the next run tries again."""
    with reporting(paths.rollouts, f"the old rollouts stand in {paths.overwritten}: make room, then run again"):
        for path in _kept(paths):
            kept = paths.overwritten / path.name
            if path.exists() and kept.exists() and path.samefile(kept):
                continue
            if path == paths.failures and path.exists() and path.stat().st_size:
                continue
            if kept.exists():
                disk.unlink(scratch_of(path))
                disk.link(kept, scratch_of(path))
                disk.replace(scratch_of(path), path)
            else:
                disk.unlink(path)
        disk.sync_folder(paths.rollouts.parent)
        discard(paths, disk)


def recover(paths: StreamPaths, disk: Disk) -> str | None:
    """Ends what a killed --overwrite left undone; a note when the old rollouts are back. Raises OutputError."""
    way_out = "make it writable, then run again"
    if not paths.overwritten.exists():
        with reporting(paths.overwritten, way_out):
            _remove_folder(scratch_of(paths.overwritten), disk)
        return None
    with reporting(paths.overwritten, way_out):
        if _has_begun(paths):
            discard(paths, disk)
            return None
    put_back(paths, disk)
    return f"{paths.rollouts}: an --overwrite ended before its first rollout: the rollouts from before are back"


def _kept(paths: StreamPaths) -> tuple[Path, ...]:
    return (paths.run, paths.limits, paths.decisions, paths.incomplete, paths.failures, paths.rollouts)


def _has_begun(paths: StreamPaths) -> bool:
    """Whether the journal holds a whole row, and is not the old one under its first name."""
    old = paths.overwritten / paths.rollouts.name
    if not paths.rollouts.exists() or (old.exists() and paths.rollouts.samefile(old)):
        return False
    with paths.rollouts.open("rb") as file:
        return file.readline().endswith(b"\n")


def _remove_folder(folder: Path, disk: Disk) -> None:
    """Removes a folder of files, when there is one."""
    try:
        files = list(folder.iterdir())
    except FileNotFoundError:
        return
    for path in files:
        disk.unlink(path)
    with suppress(FileNotFoundError):
        disk.remove_folder(folder)
