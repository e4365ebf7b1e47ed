"""Running statistics, exact to rounding whatever the number of values, in the memory of four numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Spread"]


@dataclass(slots=True)
class Spread:
    """Count, mean, standard deviation (of the population), least and greatest of the values added so far."""

    count: int = 0
    mean: float = 0.0
    minimum: float = math.inf
    maximum: float = -math.inf
    squares: float = 0.0
    """Sum of squared distances from the mean (Chan's parallel form of Welford's algorithm)."""

    @property
    def std(self) -> float:
        return math.sqrt(self.squares / self.count) if self.count else 0.0

    def add(self, values: Sequence[float]) -> float:
        """Add a batch; returns the batch's own standard deviation (0.0 for an empty one)."""
        count = len(values)
        if not count:
            return 0.0
        mean = sum(values) / count
        squares = 0.0
        for value in values:
            squares += (value - mean) * (value - mean)
        self.minimum, self.maximum = min(self.minimum, *values), max(self.maximum, *values)
        self._merge(count, mean, squares)
        return math.sqrt(squares / count)

    def add_one(self, value: float) -> None:
        """Add one value."""
        self.minimum, self.maximum = min(self.minimum, value), max(self.maximum, value)
        self._merge(1, value, 0.0)

    def add_same(self, value: float, count: int) -> None:
        """Add one value `count` times."""
        self.minimum, self.maximum = min(self.minimum, value), max(self.maximum, value)
        self._merge(count, value, 0.0)

    def merge(self, other: Spread) -> None:
        """Add all values of another spread."""
        if other.count:
            self.minimum, self.maximum = min(self.minimum, other.minimum), max(self.maximum, other.maximum)
            self._merge(other.count, other.mean, other.squares)

    def _merge(self, count: int, mean: float, squares: float) -> None:
        total, shift = self.count + count, mean - self.mean
        self.squares += squares + shift * shift * self.count * count / total
        self.mean += shift * count / total
        self.count = total
