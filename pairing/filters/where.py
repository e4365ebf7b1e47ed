"""A filter asked of rollouts: only the fields that it names are decoded, from the row's own line."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from pairing.filters.grammar import parse
from pairing.filters.nodes import Node, Row
from pairing.filters.rows import row_fields
from pairing.messages import answer_text
from pairing.reading.rollouts import Rollout

__all__ = ["Where"]

_ESCAPED = re.compile(r'[\\"\x00-\x1f]')


class Where:
    """A sample guard: the rows that an expression holds for stay. Reason `filtered`.

    Raises UsageError for what is no expression. Copied into another process it is read again.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._node: Node = parse(text)
        self._names = tuple(dict.fromkeys(self._node.fields()))
        self._decode = _decoder(self._names)

    def __reduce__(self) -> tuple[type[Where], tuple[str]]:
        return Where, (self.text,)

    def clears(self, rollouts: Sequence[Rollout]) -> bool:
        return False

    def fault(self, rollout: Rollout) -> str | None:
        row = Row(self._fields(rollout), lambda: answer_text(rollout))
        return None if self._node.value(row) else "filtered"

    def _fields(self, rollout: Rollout) -> Mapping[str, Any]:
        if not self._names:
            return {}
        if self._decode is None:
            return row_fields(rollout)
        try:
            return self._decode(rollout.line)
        except (msgspec.DecodeError, RecursionError):  # NaN, numbers of any size
            return row_fields(rollout)


def _decoder(names: tuple[str, ...]) -> Callable[[bytes | memoryview], Mapping[str, Any]] | None:
    """Decodes these fields of a row, and passes the others over. A field that the row lacks is null. None for names
    that a JSON text spells with escapes: the library decodes a row by plain ones only."""
    if any(_ESCAPED.search(name) for name in names):
        return None
    slots = [f"f{number}" for number in range(len(names))]
    kind = msgspec.defstruct(
        "Fields", [(slot, Any, None) for slot in slots], rename=dict(zip(slots, names, strict=True))
    )
    decode = msgspec.json.Decoder(kind).decode

    def fields(line: bytes | memoryview) -> Mapping[str, Any]:
        return dict(zip(names, msgspec.structs.astuple(decode(line)), strict=True))

    return fields
