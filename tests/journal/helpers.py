"""What the journal's tests share: small rows, an opened journal, and a disk that fails when told to."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import orjson

from collector.journal import Journal, SealResult, StreamPaths, open_journal
from collector.journal.disk import DISK, Disk

Key = tuple[int, int]

IDENTITY = {"model": "tiny", "num_repeats": 2, "params": {"temperature": 0.8}}
DIGEST = "ab" * 32


def row(task: int, rollout: int, text: str = "hello") -> bytes:
    """One line of a rollouts file, newline included."""
    return orjson.dumps({"_ng_task_index": task, "_ng_rollout_index": rollout, "text": text}) + b"\n"


def keys_of(path: Path) -> list[Key]:
    """The keys in a file, in file order; every line must be JSON."""
    rows = [orjson.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
    return [(row["_ng_task_index"], row["_ng_rollout_index"]) for row in rows]


def opened(
    paths: StreamPaths, *, resume: bool = False, overwrite: bool = False, num_repeats: int = 2, disk: Disk = DISK
) -> AbstractAsyncContextManager[Journal]:
    return open_journal(
        paths,
        resume=resume,
        overwrite=overwrite,
        identity=IDENTITY,
        input_digest=DIGEST,
        num_repeats=num_repeats,
        disk=disk,
    )


async def write_rows(paths: StreamPaths, lines: Iterable[bytes], *, resume: bool = False, num_repeats: int = 2) -> None:
    """A run that appends `lines` all at once and ends unsealed."""
    async with opened(paths, resume=resume, num_repeats=num_repeats) as journal:
        await asyncio.gather(*[journal.append(line) for line in lines])


async def resume_and_seal(paths: StreamPaths, lines: Iterable[bytes] = (), *, disk: Disk = DISK) -> SealResult:
    async with opened(paths, resume=True, disk=disk) as journal:
        await asyncio.gather(*[journal.append(line) for line in lines])
        return await journal.seal()


class QuickDisk(Disk):
    """A disk that does not wait for the device: what outlives a process is the same, what outlives power is not."""

    def sync(self, fd: int) -> None: ...
    def sync_folder(self, folder: Path) -> None: ...


class FaultyDisk(QuickDisk):
    """A disk whose `fail_at`th call (from 1) raises; `only` counts calls of one name. Every other write comes up
    short."""

    def __init__(self, fail_at: int, only: str | None = None, code: int = errno.EIO) -> None:
        self.calls = 0
        self.fail_at = fail_at
        self.only = only
        self.code = code
        self._short = False

    def _step(self, name: str) -> None:
        if self.only in (None, name):
            self.calls += 1
            if self.calls == self.fail_at:
                self.fail()

    def fail(self) -> None:
        raise OSError(self.code, os.strerror(self.code))

    @property
    def reached(self) -> bool:
        return self.calls >= self.fail_at

    def open(self, path: Path, flags: int) -> int:
        self._step("open")
        return super().open(path, flags)

    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        self._step("write")
        self._short = not self._short
        return super().write(fd, data[: len(data) // 2 + 1] if self._short else data, offset)

    def sync(self, fd: int) -> None:
        self._step("sync")
        super().sync(fd)

    def truncate(self, fd: int, size: int) -> None:
        self._step("truncate")
        super().truncate(fd, size)

    def replace(self, source: Path, target: Path) -> None:
        self._step("replace")
        super().replace(source, target)

    def unlink(self, path: Path) -> None:
        self._step("unlink")
        super().unlink(path)

    def sync_folder(self, folder: Path) -> None:
        self._step("sync_folder")
        super().sync_folder(folder)

    def link(self, source: Path, target: Path) -> None:
        self._step("link")
        super().link(source, target)

    def make_folder(self, path: Path) -> None:
        self._step("make_folder")
        super().make_folder(path)

    def remove_folder(self, path: Path) -> None:
        self._step("remove_folder")
        super().remove_folder(path)


class Killed(BaseException):
    """The process is gone: nothing after this runs, and no tidying up."""


class MortalDisk(FaultyDisk):
    """Dies inside its `fail_at`th call: before it, or, with `after`, when it is done or half done (a write). From then
    on every call dies, so that no code on the way out can mend anything."""

    def __init__(self, fail_at: int, *, after: bool) -> None:
        super().__init__(fail_at)
        self.after = after

    def _step(self, name: str) -> None:
        self.calls += 1
        if self.calls > self.fail_at or (self.calls == self.fail_at and not self.after):
            raise Killed

    def _die_if_due(self) -> None:
        if self.reached:
            raise Killed

    def open(self, path: Path, flags: int) -> int:
        fd = super().open(path, flags)
        self._die_if_due()
        return fd

    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        count = super().write(fd, data, offset)
        self._die_if_due()
        return count

    def truncate(self, fd: int, size: int) -> None:
        super().truncate(fd, size)
        self._die_if_due()

    def replace(self, source: Path, target: Path) -> None:
        super().replace(source, target)
        self._die_if_due()

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self._die_if_due()

    def link(self, source: Path, target: Path) -> None:
        super().link(source, target)
        self._die_if_due()

    def make_folder(self, path: Path) -> None:
        super().make_folder(path)
        self._die_if_due()

    def remove_folder(self, path: Path) -> None:
        super().remove_folder(path)
        self._die_if_due()
