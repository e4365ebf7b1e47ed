"""All fields of a rollout's row, those too that pairing does not read: from its line, when they are asked for."""

from __future__ import annotations

import json
import os
from typing import Any

import msgspec

from collector.errors import InputError
from pairing.rollouts import BrokenLine, Rollout

__all__ = ["raw_line", "row_fields"]


def raw_line(rollout: Rollout) -> bytes:
    """The bytes of the rollout's line, read again where it stands. Raises InputError when its file is gone."""
    try:
        with rollout.path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), rollout.length, rollout.offset)
    except OSError as error:
        raise InputError(f"{rollout.path}: cannot be read again: {error.strerror}") from None


def row_fields(rollout: Rollout) -> dict[str, Any]:
    """The row as a dict. NaN and Infinity are floats, as Python reads them. Raises BrokenLine for a whole number of
    thousands of digits, RecursionError for nesting without end."""
    line = raw_line(rollout)
    try:
        found = msgspec.json.decode(line)
    except msgspec.DecodeError:
        try:
            found = json.loads(line)
        except ValueError as error:
            raise BrokenLine(f"not JSON: {error}") from None
    return found if isinstance(found, dict) else {}
