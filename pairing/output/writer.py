"""Writes the pairs file: every row with the same columns, and the whole file or none of it.

Rows go to a hidden file beside the output, JSON lines, which takes the output's name when it is complete and on disk;
an output named .parquet is made of it at the end.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple

import orjson

from collector.errors import OutputError, UsageError
from pairing.formats import Format
from pairing.output.drafts import new_draft, remove_stale
from pairing.output.interleave import Interleaver
from pairing.output.parquet import is_parquet, need_pyarrow, write_parquet
from pairing.reading.compression import compress, is_compressed

__all__ = ["EncodedRow", "PairWriter", "holds_pairs"]

_FIRST_BATCH = 4 * 2**20
"""Bytes. HF datasets settles column types on the first 10 MiB of a JSONL file (seen with 5.2: a key that is null there
and a list later is refused). Rows grow when they get columns: hence well below."""

_PIECE = 1 << 18
"""Bytes copied at once: what was read is still in the processor's cache when it is written."""


class EncodedRow(NamedTuple):
    """A row that was encoded already, with no optional columns but its own."""

    line: bytes
    columns: frozenset[str]


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
        self._parquet = is_parquet(output)
        self._check_kind()
        self._columns: frozenset[str] = frozenset()
        self._size = self._rows = 0
        self._order: Interleaver[Any] | None = Interleaver() if target.spread else None
        self._takes_lines = target.splices and not target.spread
        """A record that is bytes goes to the file as it is."""
        self.adapted: Counter[str] = Counter()
        """What a policy did to make pairs fit, by name: pairs, not rows."""
        remove_stale(self._place)
        self._draft, self._file = self._new_draft()

    def __enter__(self) -> PairWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._draft.unlink(missing_ok=True)
        with suppress(OSError):  # what a full disk refused before, it refuses again
            self._file.close()

    def write(self, record: Any, prompt_id: str) -> None:
        """The rows of a record that the target made; one, most often. `prompt_id` says whose they are."""
        if type(record) is bytes and self._takes_lines and not self._columns:
            self._put_line(record)
            return
        if adapted := self._target.adapted(record):
            self.adapted.update(adapted)
        self._place_rows(self._target.rows(record), prompt_id)

    def write_encoded(self, row: EncodedRow, prompt_id: str) -> None:
        """A row that was encoded before: what comes of it is what its record would have given."""
        self._place_rows((row,), prompt_id)

    def write_block(self, source: BinaryIO, size: int, rows: int, columns: frozenset[str]) -> bool:
        """The next `size` bytes of `source`: whole lines, encoded with exactly these columns. False, with nothing read,
        where they cannot stand as they are; `write_encoded` takes them then."""
        if not self.takes_blocks or columns != self._columns:
            return False
        left = size
        try:
            while left:
                data = source.read(min(left, _PIECE))
                if not data:
                    raise OutputError(f"{self._output}: cannot be written: the file beside it was cut short (--output)")
                self._file.write(data)
                left -= len(data)
        except OSError as error:
            raise self._failed(error) from None
        self._rows += rows
        self._size += size
        return True

    def add_adapted(self, adapted: Counter[str]) -> None:
        """Count what was done to the records of encoded rows."""
        self.adapted.update(adapted)

    @property
    def takes_blocks(self) -> bool:
        """True when rows keep their order, so that many may come at once."""
        return self._order is None

    def widen(self, columns: frozenset[str]) -> None:
        """Give all rows, those to come too, these columns."""
        if missing := columns - self._columns:
            self._widen(missing, None)

    @property
    def columns(self) -> frozenset[str]:
        """The optional columns of the file so far."""
        return self._columns

    @property
    def rows(self) -> tuple[int, ...]:
        """Rows of the file so far, those that wait for their place apart."""
        return (self._rows,)

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The file."""
        return (self._output,)

    def restart(self) -> None:
        """Forget all rows."""
        try:
            self._file.seek(0)
            self._file.truncate()
        except OSError as error:
            raise self._failed(error) from None
        self._columns, self._size, self._rows = frozenset(), 0, 0
        self._order = self._order and Interleaver()
        self.adapted.clear()

    def finish(self) -> None:
        """All rows are known: those that wait are written. `commit` does it too."""
        if self._order is not None:
            self._write_rows(self._order.rest())

    def commit(self) -> None:
        """Give the file its name, once all of it is on disk."""
        self.finish()
        try:
            self._file.flush()
            if self._parquet:
                self._to_parquet()
            elif is_compressed(self._output):
                self._to_compressed()
            os.fsync(self._file.fileno())
            self._publish()
            directory = os.open(self._place.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise self._failed(error) from None

    def _check_kind(self) -> None:
        """Raises UsageError where the output's name and the format do not go together."""
        if self._parquet:
            if self._target.shape(frozenset()) is None:
                raise UsageError(f"--format {self._target.name} has no fixed columns: give a .jsonl as --output")
            need_pyarrow(self._output)
        elif self._target.parquet_only:
            raise UsageError(f"--format {self._target.name} is read as Parquet alone: give an --output named .parquet")

    def _place_rows(self, rows: Sequence[Any], prompt_id: str) -> None:
        if self._order is None:
            self._write_rows(rows)
            return
        for row in rows:
            self._write_rows(self._order.add(prompt_id, row))

    def _write_rows(self, records: Iterable[Any]) -> None:
        try:
            for record in records:
                missing = self._columns_of(record) - self._columns
                self._rows += 1
                if not (missing and self._widen(missing, record)):
                    self._put(self._encode(record))
        except OSError as error:
            raise self._failed(error) from None

    def _to_compressed(self) -> None:
        """Put a compressed file of the same rows in the draft's place."""
        lines_draft, lines = self._draft, self._file
        self._draft, self._file = self._new_draft()
        lines.seek(0)
        try:
            compress(lines, self._draft, self._output.suffix)
        finally:
            lines_draft.unlink()
            lines.close()

    def _to_parquet(self) -> None:
        """Put a Parquet file of the same rows in the draft's place."""
        lines_draft, lines = self._draft, self._file
        self._draft, self._file = self._new_draft()
        lines.seek(0)
        try:
            write_parquet(lines, self._draft, self._target.shape(self._columns) or {})
        finally:
            lines_draft.unlink()
            lines.close()

    def _columns_of(self, record: Any) -> frozenset[str]:
        return record.columns if isinstance(record, EncodedRow) else self._target.columns(record)

    def _encode(self, record: Any) -> bytes:
        """The record's line with the file's columns."""
        if not isinstance(record, EncodedRow):
            return self._target.encode(record, self._columns)
        if record.columns == self._columns:
            return record.line
        return self._target.encode(orjson.loads(record.line), self._columns)

    def _put_line(self, line: bytes) -> None:
        """What `_write_rows` does with a spliced record. Kept flat: it is called for nearly every pair."""
        try:
            self._file.write(line)
            self._file.write(b"\n")
        except OSError as error:
            raise self._failed(error) from None
        self._rows += 1
        self._size += len(line) + 1

    def _put(self, line: bytes) -> None:
        self._file.write(line + b"\n")
        self._size += len(line) + 1

    def _widen(self, missing: frozenset[str], record: Any | None) -> bool:
        """Give the rows so far the columns they lack. True when `record` was written, in front of them."""
        self._columns |= missing
        if not self._size:
            return False
        late = self._size > self._first_batch and not missing <= self._target.settled
        leads = late and record is not None
        if leads and self._order is not None:
            self._order.undo()
        old_draft, old_file = self._draft, self._file
        self._draft, self._file = self._new_draft()
        self._size = 0
        try:
            if leads:
                self._put(self._encode(record))
            old_file.seek(0)
            for line in old_file:
                self._put(self._target.encode(orjson.loads(line), self._columns))
        finally:
            old_draft.unlink()
            old_file.close()
        return leads

    def _new_draft(self) -> tuple[Path, BinaryIO]:
        try:
            return new_draft(self._place)
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
