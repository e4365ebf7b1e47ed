"""Writes the pairs file: JSONL, every row with the same columns, and the whole file or none of it.

Rows go to a hidden file beside the output, which takes the output's name when it is complete and on disk.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import orjson

from collector.errors import OutputError
from pairing.formats import Format

__all__ = ["PairWriter", "holds_pairs"]

_FIRST_BATCH = 4 * 2**20
"""Bytes. HF datasets settles column types on the first 10 MiB of a JSONL file (seen with 5.2: a key that is null there
and a list later is refused). Rows grow when they get columns: hence well below."""
_BUFFER = 1 << 18


def holds_pairs(path: Path) -> bool:
    """True when something stands at `path` that a new file would destroy. An empty file holds nothing to lose."""
    try:
        return path.stat().st_size > 0
    except OSError:  # nothing there, or no way to it, which writing tells better
        return False


class PairWriter:
    """A context manager: leave it without `commit` and nothing is left behind.

    Rows keep the order they are written in, with one exception: when a column first comes up past `first_batch`
    bytes, and its type cannot be told from its filler (null), the row that brings it goes in front, where datasets
    sees it in time. Raises OutputError when the path holds pairs (without `overwrite`), is one of the inputs, or
    cannot be written.
    """

    def __init__(
        self,
        output: Path,
        target: Format,
        *,
        overwrite: bool = False,
        inputs: Sequence[Path] = (),
        first_batch: int = _FIRST_BATCH,
    ) -> None:
        if output.exists() and not output.is_file():
            raise OutputError(f"{output} is no regular file: give another --output")
        if any(output.resolve() == path.resolve() for path in inputs):
            raise OutputError(f"{output} is one of the inputs: give another --output")
        if holds_pairs(output) and not overwrite:
            raise OutputError(f"{output} exists already: give --overwrite to replace it, or another --output")
        self._output, self._target, self._overwrite = output, target, overwrite
        self._place = output.resolve()  # a link stays, and what it points to is written
        self._first_batch = first_batch
        self._columns: frozenset[str] = frozenset()
        self._size = 0
        self._draft, self._file = self._new_draft()

    def __enter__(self) -> PairWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._draft.unlink(missing_ok=True)
        with suppress(OSError):  # what a full disk refused before, it refuses again
            self._file.close()

    def write(self, record: Any) -> None:
        """One row: a record that the target made."""
        missing = self._target.columns(record) - self._columns
        try:
            if missing and self._widen(missing, record):
                return
            self._put(self._target.encode(record, self._columns))
        except OSError as error:
            raise self._failed(error) from None

    def restart(self) -> None:
        """Forget all rows."""
        try:
            self._file.seek(0)
            self._file.truncate()
        except OSError as error:
            raise self._failed(error) from None
        self._columns, self._size = frozenset(), 0

    def commit(self) -> None:
        """Give the file its name, once all of it is on disk."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._publish()
            directory = os.open(self._place.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise self._failed(error) from None

    def _put(self, line: bytes) -> None:
        self._file.write(line + b"\n")
        self._size += len(line) + 1

    def _widen(self, missing: frozenset[str], record: Any) -> bool:
        """Give the rows so far the columns they lack. True when `record` was written, in front of them."""
        self._columns |= missing
        if not self._size:
            return False
        leads = self._size > self._first_batch and not missing <= self._target.settled
        old_draft, old_file = self._draft, self._file
        self._draft, self._file = self._new_draft()
        self._size = 0
        try:
            if leads:
                self._put(self._target.encode(record, self._columns))
            old_file.seek(0)
            for line in old_file:
                self._put(self._target.encode(orjson.loads(line), self._columns))
        finally:
            old_draft.unlink()
            old_file.close()
        return leads

    def _new_draft(self) -> tuple[Path, BinaryIO]:
        draft = self._place.with_name(f".{self._place.name}.{secrets.token_hex(4)}.tmp")
        try:
            return draft, draft.open("x+b", buffering=_BUFFER)
        except OSError as error:
            raise self._failed(error) from None

    def _publish(self) -> None:
        if self._overwrite:
            self._draft.replace(self._place)
            return
        try:
            os.link(self._draft, self._place)  # unlike a rename, refuses a file that came up meanwhile
        except FileExistsError:
            if not holds_pairs(self._place):
                self._draft.replace(self._place)
                return
            raise OutputError(f"{self._output} came into being meanwhile: give another --output") from None
        except OSError:  # a file system without links
            self._draft.replace(self._place)

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(f"{self._output}: cannot be written: {error.strerror or error} (--output)")
