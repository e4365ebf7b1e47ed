"""The files that hold a run's rollouts, as they were when they were opened: what another run appends later is not seen.

For `rollouts.jsonl` these are that file, the incomplete rows beside it, and the failures, for the replies that only a
verifier failed on. Each is kept open, so that a seal that replaces the file takes nothing away.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

import msgspec
import orjson

from collector.errors import InputError, OutputError
from collector.journal import Line, StreamPaths
from collector.journal.reader import raw_lines

__all__ = ["Snapshot", "Sources", "strict"]

_BLOCK = 1 << 20
_BOM = b"\xef\xbb\xbf"


class Snapshot:
    """One file's bytes at one moment. `torn` says where a last line without an end was left out, in bytes."""

    def __init__(self, path: Path) -> None:
        """Raises InputError when the file cannot be read, or is no regular file."""
        self.path = path
        self.torn: int | None = None
        try:
            if path.exists() and not path.is_file():
                raise InputError(f"{path}: is not a regular file; give a file of rollouts (--input)")
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}; check the path (--input)") from None
        self._size = os.fstat(self._fd).st_size

    def close(self) -> None:
        os.close(self._fd)

    def digest(self) -> str:
        """SHA-256 of the bytes, hex."""
        digest = hashlib.sha256()
        for offset in range(0, self._size, _BLOCK):
            digest.update(self._read(offset, _BLOCK))
        return digest.hexdigest()

    def lines(self) -> Iterator[Line]:
        """The lines that are not blank, in file order. A last line that has no end and is no JSON is left out: the
        run that writes the file was killed there, or is still at it."""
        blocks = (self._read(offset, _BLOCK) for offset in range(0, self._size, _BLOCK))
        for number, (offset, raw) in enumerate(raw_lines(lambda _: next(blocks, b"")), start=1):
            skip = len(_BOM) if number == 1 and raw.startswith(_BOM) else 0
            content = raw[skip:].removesuffix(b"\r")
            if offset + len(raw) == self._size and not _is_json(content):
                self.torn = offset if content else None
                return
            if content and not content.isspace():
                yield Line(self.path, number, offset + skip, content)

    def line_at(self, offset: int, length: int) -> bytes:
        """The bytes of one line that `lines` gave."""
        return self._read(offset, length)

    def _read(self, offset: int, length: int) -> bytes:
        data = os.pread(self._fd, min(length, self._size - offset), offset)
        if not data and offset < self._size:
            raise InputError(f"{self.path}: grew shorter while it was read; run again with --overwrite")
        return data


class Sources:
    """The snapshots of one output's files. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        """Raises InputError when `path` cannot be read. The files beside it are read where they are there."""
        try:
            self.paths = StreamPaths.for_output(path)
        except OutputError as error:
            raise InputError(str(error)) from None
        self._stack = ExitStack()
        with ExitStack() as stack:
            self.rollouts = [_open(stack, path)]
            if self.paths.incomplete.is_file():
                self.rollouts.append(_open(stack, self.paths.incomplete))
            self.failures = _open(stack, self.paths.failures) if self.paths.failures.is_file() else None
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def digest(self) -> str:
        """One digest of all the files' bytes: by it a resume knows that nothing has changed."""
        snapshots = [*self.rollouts, *([self.failures] if self.failures else [])]
        digests = [snapshot.digest() for snapshot in snapshots]
        return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def strict(line: Line) -> bytes:
    """The line's row as JSON that every reader takes: as it is, or, where Python's NaN and Infinity stand in it,
    written anew with null in their place. Raises InputError, naming file and line."""
    if _is_json(line.raw):
        return line.raw
    try:
        return orjson.dumps(json.loads(line.raw))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{line.path}:{line.number}: is not JSON: {error} (byte {line.offset})") from None


def _open(stack: ExitStack, path: Path) -> Snapshot:
    snapshot = Snapshot(path)
    stack.callback(snapshot.close)
    return snapshot


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return line.isascii() or _is_utf8(line)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
