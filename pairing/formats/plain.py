"""What most formats share: sides made to fit, a record that is a dict, one metadata object at its end.

A format of this kind says how its record is made (`fields`) and of what types it is (`types`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import orjson

from pairing.formats.base import ADAPTED, Format
from pairing.formats.fitting import fitted
from pairing.formats.shapes import META, conformed, pruned, turn_columns
from pairing.formats.turns import Sides, sides_of
from pairing.pairs import Pair

__all__ = ["PlainFormat"]


class PlainFormat(Format):
    """A record as a dict whose optional columns are keys of the record itself, filled with `fillers` where a row has
    nothing to say."""

    fillers: ClassVar[Mapping[str, Any]] = {}
    with_meta: ClassVar[bool] = True

    def record(self, pair: Pair) -> dict[str, Any]:
        sides = fitted(sides_of(pair, self.capabilities.images), self.capabilities, self.unfit)
        record = self.fields(sides, pair)
        if self.with_meta:
            record["meta"] = self.meta(pair, sides)
        if sides.adapted:
            record[ADAPTED] = sides.adapted
        return record

    @abstractmethod
    def fields(self, sides: Sides, pair: Pair) -> dict[str, Any]:
        """The record without its metadata. Raises Unfit."""

    @abstractmethod
    def types(self) -> dict[str, Any]:
        """The shape of what `fields` gives, every optional column included."""

    def meta(self, pair: Pair, sides: Sides) -> dict[str, Any]:
        """The metadata; with a policy that adapts, it says of each row what was done."""
        return pair.meta() | ({"adapted": ",".join(sides.adapted)} if self._adapts else {})

    @property
    def _adapts(self) -> bool:
        return self.unfit.last_turn or self.unfit.inline_reasoning

    def columns(self, record: Any) -> frozenset[str]:
        shape = self.types()
        found = {path for key in shape if key in record for path in turn_columns(record[key], shape[key], key)}
        return frozenset(found | (record.keys() & self.fillers.keys()))

    def encode(self, record: Any, columns: frozenset[str]) -> bytes:
        shape = self.shape(columns) or {}
        row = {key: record.get(key, self.fillers.get(key)) for key in shape}
        return orjson.dumps(conformed(row, shape))

    def adapted(self, record: Any) -> tuple[str, ...]:
        done: tuple[str, ...] = record.get(ADAPTED, ())
        return done

    def shape(self, columns: frozenset[str]) -> dict[str, Any] | None:
        kinds = {key: kind for key, kind in self.types().items() if key not in self.fillers or key in columns}
        shape: dict[str, Any] = {key: pruned(kind, columns, key) for key, kind in kinds.items()}
        if self.with_meta:
            shape["meta"] = META | ({"adapted": str} if self._adapts else {})
        return shape
