"""How a number of any size is shown: a reward may be 1e308, and a mean of such rewards no number at all."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["mean_of", "rounded"]

_WIDE = 1e6
"""Beyond it digits behind the point say nothing."""


def rounded(value: float, places: int = 3) -> str:
    """So many places, four digits with an exponent where it is wide, `-` where it is no number."""
    if not math.isfinite(value):
        return "-"
    return f"{value:.{places}f}" if abs(value) < _WIDE else f"{value:.4g}"


def mean_of(values: Sequence[float]) -> float | None:
    """Their mean, though their sum be too great for a float; None without values."""
    if not values:
        return None
    try:
        return math.fsum(values) / len(values)
    except OverflowError:
        return math.fsum(value / len(values) for value in values)
