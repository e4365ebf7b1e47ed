"""How sure a figure is: percentiles, rates with bootstrap intervals, ratios with the spread between prompts.

Rollouts that end close together are not independent of each other, nor are those of one prompt, nor those of one trial:
so whole blocks of time and whole trials are drawn again, and prompts count as one observation each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Interval", "Ratio", "percentile", "ratio", "resampled_rates", "spread_of"]

RESAMPLES = 1000
_Z95 = 1.96

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, and what holds 95% of its resamples."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """A sum over a sum, with the standard error that the spread between prompts gives it."""

    value: float
    error: float

    @property
    def interval(self) -> Interval:
        return Interval(self.value, self.value - _Z95 * self.error, self.value + _Z95 * self.error)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least `share` of all do not exceed (nearest rank). None where fewer than
    1 / (1 - share) values are there: then it would be the largest one, whatever the distribution."""
    if not values or len(values) * (1 - share) < 1 - 1e-9:
        return None
    return float(np.quantile(np.asarray(values, float), share, method="inverted_cdf"))


def resampled_rates(blocks: Sequence[Floats], lengths: Sequence[float], rng: np.random.Generator) -> Floats:
    """Rates of resampled trials: [RESAMPLES]. `blocks` holds each trial's counts in blocks of equal length, `lengths`
    the seconds of one block. Trials are drawn anew, and in each of them its blocks."""
    rates = np.empty(RESAMPLES)
    for place in range(RESAMPLES):
        drawn = rng.integers(len(blocks), size=len(blocks))
        counted = seconds = 0.0
        for trial in drawn:
            counts = blocks[trial]
            counted += float(counts[rng.integers(len(counts), size=len(counts))].sum())
            seconds += lengths[trial] * len(counts)
        rates[place] = counted / seconds
    return rates


def spread_of(value: float, resamples: Floats) -> Interval:
    """The interval that the resamples of a value give."""
    low, high = np.quantile(resamples, (0.025, 0.975))
    return Interval(value, float(low), float(high))


def ratio(above: Sequence[float], below: Sequence[float]) -> Ratio | None:
    """sum(above) / sum(below), each place being one prompt. None when there is nothing below the line, or one prompt
    alone."""
    over, under = np.asarray(above, float), np.asarray(below, float)
    total = float(under.sum())
    if total <= 0 or len(over) < 2:
        return None
    value = float(over.sum()) / total
    residual = over - value * under
    error = math.sqrt(float((residual**2).sum()) * len(over) / (len(over) - 1)) / total
    return Ratio(value, error)
