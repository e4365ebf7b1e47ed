"""A file of JSON lines as Parquet, with the schema said beforehand: nothing is guessed from the rows.

Row groups of a few megabytes each, zstd: memory does not grow with the file. pyarrow comes with the extra `parquet`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import orjson

from collector.errors import UsageError

if TYPE_CHECKING:
    import pyarrow

__all__ = ["arrow_schema", "is_parquet", "need_pyarrow", "write_parquet"]

_GROUP_BYTES = 8 * 2**20
_GROUP_ROWS = 10_000


def is_parquet(path: Path) -> bool:
    """True when the output's name says Parquet."""
    return path.suffix == ".parquet"


def need_pyarrow(path: Path) -> None:
    """Raises UsageError when pyarrow is missing."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise UsageError(
            f"--output {path}: Parquet needs pyarrow: pip install 'pairmill[parquet]', or give a .jsonl"
        ) from None


def arrow_schema(shape: dict[str, Any]) -> pyarrow.Schema:
    """The shape as an Arrow schema: str, int (64 bits), float (64 bits), bool, lists and structs of them."""
    import pyarrow

    return pyarrow.schema([(name, _arrow_type(kind)) for name, kind in shape.items()])


def write_parquet(lines: IO[bytes], target: Path, shape: dict[str, Any]) -> None:
    """Writes the rows of `lines` (JSON, one a line) to `target`."""
    import pyarrow
    import pyarrow.parquet

    schema = arrow_schema(shape)
    with pyarrow.parquet.ParquetWriter(target, schema, compression="zstd") as writer:
        for rows in _groups(lines):
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))


def _groups(lines: IO[bytes]) -> Iterator[list[Any]]:
    rows: list[Any] = []
    size = 0
    for line in lines:
        rows.append(orjson.loads(line))
        size += len(line)
        if size >= _GROUP_BYTES or len(rows) >= _GROUP_ROWS:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _arrow_type(kind: Any) -> Any:
    import pyarrow

    if isinstance(kind, list):
        return pyarrow.list_(_arrow_type(kind[0]))
    if isinstance(kind, dict):
        return pyarrow.struct([(name, _arrow_type(inner)) for name, inner in kind.items()])
    return {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_()}[kind]
