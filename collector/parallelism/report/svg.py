"""What every plot is made of: a text element, round numbers for an axis, and how they are shown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from markupsafe import escape

__all__ = ["text", "tick", "ticks"]

_TICKS = 5


def text(x: float, y: float, words: str, kind: str, anchor: str) -> str:
    """A text element of that class; the words are escaped."""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`."""
    if high <= low:
        low, high = (low - 0.5, high + 0.5) if low else (0.0, max(high, 1.0))
    raw = (high - low) / (_TICKS - 1)
    size = 10 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * place for place in range(first, last + 1)]


def tick(value: float, among: Sequence[float]) -> str:
    """One of an axis's numbers, with as many digits as tell it from the others."""
    step = min(b - a for a, b in pairwise(among))
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if step >= 1 or abs(step * 10**digits - round(step * 10**digits)) < 1e-9:
        return f"{value:,.{digits}f}" if step < 1 else f"{value:,.0f}" if step == int(step) else f"{value:,.1f}"
    return f"{value:,.{digits + 1}f}"
