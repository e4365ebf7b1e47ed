"""A text with `{field}` in it, filled from a row's fields. Plain look-ups alone: nothing in a row or a template runs.

`{name}` is a field of the row, or of its `verifier_metadata` where the row has none of that name; `{a.b}` reaches into
an object, `{a.0}` into a list. `{{` and `}}` are literal braces. Text stands as it is, anything else as JSON. There is
no attribute, no call and no format specification: those are refused when the template is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from collector.errors import InputError, UsageError
from collector.terminal import plain

__all__ = ["Template"]

_METADATA = "verifier_metadata"
_MARK = re.compile(r"\{\{|\}\}|\{[^{}]*\}|[{}]")
_FIELD = re.compile(r"[^\W\d](?:[\w -]*[\w-])?(?:\.[\w-]+)*")
_SHOWN = 60
_SHOWN_NAMES = 300


@dataclass(frozen=True, slots=True)
class Template:
    """Literal texts and field paths in turn: `parts[0]` is a literal, each further part (a path, the literal after)."""

    head: str
    parts: tuple[tuple[tuple[str, ...], str], ...]

    @classmethod
    def parse(cls, text: str, where: str) -> Template:
        """Reads a template. Raises UsageError, `where` and the line in front, for a brace that marks no field."""
        literals = [""]
        paths: list[tuple[str, ...]] = []
        end = 0
        for mark in _MARK.finditer(text):
            literals[-1] += text[end : mark.start()]
            end = mark.end()
            if mark[0] in ("{{", "}}"):
                literals[-1] += mark[0][0]
            else:
                paths.append(_path(mark[0], f"{where}: line {text.count(chr(10), 0, mark.start()) + 1}"))
                literals.append("")
        literals[-1] += text[end:]
        return cls(literals[0], tuple(zip(paths, literals[1:], strict=True)))

    def uses(self, name: str) -> bool:
        """Whether the template has a field of that name."""
        return any(path[0] == name for path, _ in self.parts)

    def fill(self, fields: Mapping[str, Any], where: str) -> str:
        """The text for one row. Raises InputError, `where` in front, for a field that the row lacks or that is null."""
        return self.head + "".join(self._filled(fields, where))

    def _filled(self, fields: Mapping[str, Any], where: str) -> Iterator[str]:
        for path, literal in self.parts:
            yield _as_text(_find(fields, path, where), path, where)
            yield literal


def _path(mark: str, where: str) -> tuple[str, ...]:
    name = mark[1:-1].strip()
    if len(mark) > 1 and _FIELD.fullmatch(name) and not any(part.startswith("__") for part in name.split(".")):
        return tuple(name.split("."))
    shown = plain(mark if len(mark) <= _SHOWN else mark[:_SHOWN] + "...")
    raise UsageError(
        f"{where}: {shown} is no field of a row: write {{name}} or {{name.inner}}; for a brace itself {{{{ or }}}}"
    )


def _find(fields: Mapping[str, Any], path: tuple[str, ...], where: str) -> Any:
    value = fields.get(path[0])
    metadata = fields.get(_METADATA)
    if value is None and isinstance(metadata, Mapping):
        value = metadata.get(path[0])
    for name in path[1:]:
        value = _inside(value, name)
    if value is None:
        there = plain(", ".join(list(fields)[:8]))[:_SHOWN_NAMES] or "nothing"
        raise InputError(
            f"{where}: the template wants the field {'.'.join(path)!r}, and the row has none (it has: {there})"
        )
    return value


def _inside(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name)
    # A list of a row is never long enough for more digits, and int() refuses some characters that count as digits.
    if isinstance(value, list) and name.isascii() and name.isdigit() and len(name) <= 9:
        return value[int(name)] if int(name) < len(value) else None
    return None


def _as_text(value: Any, path: tuple[str, ...], where: str) -> str:
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError as error:
        raise InputError(f"{where}: the field {'.'.join(path)!r} cannot be written as JSON: {error}") from None
