"""All fields of a rollout's row, those too that pairing does not read: from its line, when they are asked for."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from pairing.reading.rollouts import BrokenLine, Rollout

__all__ = ["row_fields"]


def row_fields(rollout: Rollout) -> dict[str, Any]:
    """The row as a dict. NaN and Infinity are floats, as Python reads them. Raises BrokenLine for a whole number of
    thousands of digits, RecursionError for nesting without end."""
    try:
        found = msgspec.json.decode(rollout.line)
    except msgspec.DecodeError:
        try:
            found = json.loads(bytes(rollout.line))
        except ValueError as error:
            raise BrokenLine(f"not JSON: {error}") from None
    return found if isinstance(found, dict) else {}
