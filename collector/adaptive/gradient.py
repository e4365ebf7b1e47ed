"""The law for a server that shows nothing: latency per output token, against what it was before.

The idea is Netflix's Gradient2 (github.com/Netflix/concurrency-limits): a long mean of the latency against a short one.
Per output token, because a reply of ten times the length takes ten times as long on an idle server. It is a weak
measure: a batch that grows makes each token slower while the server still gets faster. So it serves only up to a low
limit.
"""

from __future__ import annotations

import math

from collector.adaptive.changes import Cut

__all__ = ["HARD_MAX", "Gradient"]

HARD_MAX = 64
"""No server is known to be ready for more without a word of its own."""
_TOLERANCE = 1.5
_LEAST = 0.5
_SMOOTHING = 0.2
_LONG = 0.05
"""How much of a window the long mean takes on."""
_WINDOW = 10
"""Completions of the smallest window."""


class Gradient:
    """Fed with each completion, asked for the gain at each. Windows of as many completions as are in flight."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._tokens = 0.0
        self._count = 0
        self._long: float | None = None
        self._gain = 0.0

    @property
    def gain(self) -> float:
        """By how much the limit may grow in one round of completions; 0 while it may not."""
        return self._gain

    def completed(self, latency: float, tokens: float, in_flight: int, limit: int) -> Cut | None:
        """A reply of so many output tokens after `latency` seconds; what it asks for."""
        self._seconds += latency
        self._tokens += max(1.0, tokens)
        self._count += 1
        if self._count < max(_WINDOW, in_flight):
            return None
        short = self._seconds / self._tokens
        self._seconds, self._tokens, self._count = 0.0, 0.0, 0
        if self._long is None:
            self._long = short
        gradient = min(1.0, max(_LEAST, _TOLERANCE * self._long / short)) if short > 0 else 1.0
        self._long += _LONG * (short - self._long)
        # A mean that was learnt under load must come down faster than it went up.
        self._long = min(self._long, 2 * short)
        wanted = (1 - _SMOOTHING) * limit + _SMOOTHING * (gradient * limit + math.sqrt(limit))
        self._gain = max(0.0, wanted / limit - 1.0)
        if wanted >= limit:
            return None
        return Cut(wanted, 0.0, f"a token takes {short / self._long:.1f} times as long")
