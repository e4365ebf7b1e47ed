"""Finds what a verifier needs in a prompt row: at its top level first, then under NeMo Gym's `verifier_metadata`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from collector.errors import VerifierError
from collector.protocols.server_text import one_line
from collector.records.rows import JsonObject, PromptRow

__all__ = ["METADATA", "all_fields", "bad_field", "find_field", "kind_of", "problem_in", "text_field"]

METADATA = "verifier_metadata"
_SHOWN = 12
_KINDS = {dict: "an object", list: "a list", str: "text", bool: "a boolean", int: "a number", float: "a number"}


def find_field(row: PromptRow, name: str, instead: str = "") -> Any:
    """The row's value for `name`. Raises VerifierError, naming the field and the row's line, when it has none, and
    `instead`: what may be given to do without the field."""
    if row.fields.get(name) is not None:
        return row.fields[name]
    metadata = row.fields.get(METADATA)
    if isinstance(metadata, Mapping) and metadata.get(name) is not None:
        return metadata[name]
    found = list(row.fields)
    listed = one_line(", ".join(found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else ""))
    raise VerifierError(
        f"line {row.line}: the row has no field {name!r}, at the top or in {METADATA} (it has: {listed});"
        f" {f'give {instead}, or ' if instead else ''}name another with field=",
        failure_class="missing_field",
    )


def text_field(row: PromptRow, name: str) -> str:
    """The row's text under `name`; a number or boolean as JSON writes it. Raises VerifierError for anything else."""
    value = find_field(row, name)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise bad_field(row, name, f"is {kind_of(value)}; text is needed")


def all_fields(row: PromptRow) -> JsonObject:
    """The row's fields with those of `verifier_metadata` beside them; the top level wins."""
    metadata = row.fields.get(METADATA)
    return {**metadata, **row.fields} if isinstance(metadata, Mapping) else row.fields


def bad_field(row: PromptRow, name: str, problem: str) -> VerifierError:
    """The error for a field that is there but cannot be used."""
    return VerifierError(f"line {row.line}: the field {name!r} {problem}", failure_class="bad_field")


def problem_in(row: PromptRow, read: Callable[[PromptRow], object]) -> str | None:
    """Why `read` refuses the row, or None. Without the row's line: the caller names it, with its file."""
    try:
        read(row)
    except VerifierError as error:
        return str(error).removeprefix(f"line {row.line}: ")
    return None


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    return _KINDS.get(type(value), "null")
