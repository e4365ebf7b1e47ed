"""The rows of a preference file, JSON lines (compressed or not) or Parquet, one at a time, with where each stands."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from collector.errors import InputError, UsageError
from pairing.output.parquet import is_parquet
from pairing.reading.compression import is_compressed, opened

__all__ = ["Found", "found_rows"]

_BATCH = 256


@dataclass(frozen=True, slots=True)
class Found:
    """A line of the file: its row, or the name of what is wrong with it."""

    number: int
    """Line, or row of a Parquet file, from 1."""
    offset: int
    """Bytes of JSON lines before it; 0 in Parquet, whose types are settled."""
    row: dict[str, Any] | None
    fault: str | None = None
    detail: str = ""


def found_rows(path: Path) -> Iterator[Found]:
    """Every line. Raises InputError for a file that cannot be read, UsageError when pyarrow is missing."""
    try:
        yield from _parquet_rows(path) if is_parquet(path) else _json_rows(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def _json_rows(path: Path) -> Iterator[Found]:
    offset = 0
    with opened(path) if is_compressed(path) else path.open("rb") as file:
        for number, line in enumerate(file, 1):
            yield _of_line(number, offset, line)
            offset += len(line)


def _of_line(number: int, offset: int, line: bytes) -> Found:
    if not line.strip():
        return Found(number, offset, None, "empty_line")
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        marked = line.startswith(codecs.BOM_UTF8)
        detail = "a byte order mark stands in front: save it as UTF-8 without one" if marked else str(error)
        return Found(number, offset, None, "not_json", detail)
    if not isinstance(row, dict):
        return Found(number, offset, None, "not_object", type(row).__name__)
    return Found(number, offset, row)


def _parquet_rows(path: Path) -> Iterator[Found]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError(f"{path}: Parquet needs pyarrow: pip install 'pairmill[parquet]'") from None
    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield Found(number, 0, row)
    except pyarrow.ArrowInvalid as error:
        raise InputError(f"{path}: no Parquet file that can be read: {error}") from None
