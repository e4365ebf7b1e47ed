"""Follows the type of every column over the rows, as HF datasets would settle it.

Datasets reads JSON lines in pieces of 10 MiB, settles each column's type on the first, and refuses a later piece with
another one. A column that is null there has the type null, and refuses text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pairing.checking.layouts import Note

__all__ = ["Drift"]

_SETTLED = 10 * 2**20
"""Bytes."""
_FOLLOWED = 400
_DEEP = 5


@dataclass(slots=True)
class _Column:
    kind: str | None = None
    rows: int = 0
    settled_null: bool = False
    told: bool = False


class Drift:
    """Call `notes` for each row in order, `at_end` once."""

    def __init__(self) -> None:
        self._columns: dict[str, _Column] = {}
        self._rows = 0
        self._full = False

    def notes(self, row: Mapping[str, Any], offset: int) -> Iterator[Note]:
        """Columns of this row whose type is not that of the rows before."""
        self._rows += 1
        late = offset > _SETTLED
        for path, kind in _typed(row, "", 0):
            column = self._column(path, late)
            if column is None:
                yield Note("too_many_columns", path)
                continue
            column.rows += path.count("[") == 0 and "." not in path
            if kind is None or column.told:
                continue
            if column.kind is None and column.settled_null:
                column.told = True
                yield Note("late_type", f"{path} is {kind}")
            elif column.kind not in (None, kind):
                column.told = True
                yield Note("mixed_types", f"{path} is {kind}, before it was {column.kind}")
            column.kind = column.kind or kind
        if late:
            for column in self._columns.values():
                column.settled_null = column.settled_null or column.kind is None

    def at_end(self) -> Iterator[Note]:
        """What only the whole file shows."""
        for path, column in self._columns.items():
            if 0 < column.rows < self._rows:
                name = "chat_template_kwargs" if path == "chat_template_kwargs" else "some_rows_only"
                yield Note(name, f"{path} on {column.rows:,} of {self._rows:,} rows")

    def _column(self, path: str, late: bool) -> _Column | None:
        known = self._columns.get(path)
        if known is None and len(self._columns) < _FOLLOWED:
            known = self._columns[path] = _Column(settled_null=late)
        elif known is None and not self._full:
            self._full = True
            return None
        return known or _Column(told=True)


def _typed(value: Mapping[str, Any], path: str, depth: int) -> Iterator[tuple[str, str | None]]:
    """(path, type) of every field, lists' items under `path[]`."""
    for key, inner in value.items():
        yield from _of_value(inner, f"{path}.{key}" if path else key, depth)


def _of_value(value: Any, path: str, depth: int) -> Iterator[tuple[str, str | None]]:
    if isinstance(value, dict):
        yield path, "an object"
        if depth < _DEEP:
            yield from _typed(value, path, depth + 1)
    elif isinstance(value, list):
        yield path, "a list"
        if depth < _DEEP:
            for item in value:
                yield from _of_value(item, f"{path}[]", depth + 1)
    elif value is None:
        yield path, None
    else:
        yield path, "text" if isinstance(value, str) else "true or false" if isinstance(value, bool) else "a number"
