"""Counts of values in bounded memory, the same whatever order the values come in.

Up to 4,096 different values are kept as they are. Past that a value counts as the lower edge of its cell: cells are a
power of two wide, the narrowest of which at most 4,096 span the least to the greatest value, so that least and greatest
alone decide the cells.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Bar", "Histogram"]

_MOST = 4096
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)
_ROUNDING = 1e-9
"""Of a step: 0.3 / 0.1 is a little under 3."""


@dataclass(frozen=True, slots=True)
class Bar:
    """`count` values from `low` to under `high`; of exactly `low` where both are the same."""

    low: float
    high: float
    count: int


class Histogram:
    """Finite values and how often each came; others are passed over."""

    def __init__(self) -> None:
        self.count = 0
        self.minimum, self.maximum = math.inf, -math.inf
        self._values: dict[float, int] | None = {}
        self._cells: dict[int, int] = {}
        self._exponent = 0

    def add(self, value: float) -> None:
        if not math.isfinite(value):
            return
        value += 0.0  # -0.0 becomes 0.0
        self.count += 1
        beyond = not self.minimum <= value <= self.maximum
        self.minimum, self.maximum = min(self.minimum, value), max(self.maximum, value)
        if self._values is None:
            if beyond:
                self._widen()
            cell = _cell(value, self._exponent)
            self._cells[cell] = self._cells.get(cell, 0) + 1
            return
        self._values[value] = self._values.get(value, 0) + 1
        if len(self._values) > _MOST:
            self._to_cells(self._values)

    def items(self) -> Iterator[tuple[float, int]]:
        """Values, ascending, and their counts."""
        if self._values is not None:
            yield from sorted(self._values.items())
        else:
            for cell, count in sorted(self._cells.items()):
                yield math.ldexp(cell, self._exponent), count

    def quantile(self, share: float) -> float | None:
        """The value that stands at this share of their order, as in `compare`; None without values."""
        rank, seen = int(share * (self.count - 1) + 0.5), 0
        for value, count in self.items():
            seen += count
            if seen > rank:
                return value
        return None

    def bars(self, most: int = 12) -> list[Bar]:
        """One bar a value when there are at most `most`, else about as many of equal width with round edges."""
        found = list(self.items())
        if len(found) <= most:
            return [Bar(value, value, count) for value, count in found]
        step = _round_step((self.maximum - self.minimum) / most)
        if step is None:
            return [Bar(self.minimum, self.maximum, self.count)]
        counts: dict[int, int] = {}
        for value, count in found:
            place = math.floor(value / step + _ROUNDING)
            counts[place] = counts.get(place, 0) + count
        last = max(counts)
        bars = [Bar(_clean(n * step), _clean((n + 1) * step), counts.get(n, 0)) for n in range(min(counts), last + 1)]
        if math.isclose(bars[-1].low, self.maximum, abs_tol=step * _ROUNDING):  # nothing else stands in it
            bars[-1] = Bar(self.maximum, self.maximum, counts[last])
        return bars

    def _to_cells(self, values: dict[float, int]) -> None:
        self._exponent = _narrowest(self.minimum, self.maximum)
        for value, count in values.items():
            cell = _cell(value, self._exponent)
            self._cells[cell] = self._cells.get(cell, 0) + count
        self._values = None

    def _widen(self) -> None:
        """Join cells until least and greatest fit again."""
        shift = _narrowest(self.minimum, self.maximum) - self._exponent
        if shift:
            cells, self._cells = self._cells, {}
            self._exponent += shift
            for cell, count in cells.items():
                self._cells[cell >> shift] = self._cells.get(cell >> shift, 0) + count


def _cell(value: float, exponent: int) -> int:
    scaled = math.ldexp(value, -exponent)
    return -1 if scaled == 0 and value < 0 else math.floor(scaled)  # what is too small to scale is still under 0


def _fits(least: float, greatest: float, exponent: int) -> bool:
    return _cell(greatest, exponent) - _cell(least, exponent) < _MOST


def _narrowest(least: float, greatest: float) -> int:
    exponent = math.frexp(greatest / 2 - least / 2)[1] - 14  # too narrow by a little, whatever was rounded
    while not _fits(least, greatest, exponent):
        exponent += 1
    return exponent


def _clean(edge: float) -> float:
    """0.3 for 3 * 0.1."""
    return float(f"{edge:.12g}")


def _round_step(least: float) -> float | None:
    """The next 1, 2, 2.5 or 5 times a power of ten; None at the ends of what floats hold."""
    if not 1e-300 < least < 1e300:
        return None
    magnitude = 10.0 ** math.floor(math.log10(least))
    return next(step * magnitude for step in _NICE if step * magnitude >= least * (1 - _ROUNDING))
