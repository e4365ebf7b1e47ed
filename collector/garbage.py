"""Python's collector of reference cycles, calmed for the length of a run: it looks rarely, because it finds nothing.

A run makes hundreds of objects for each rollout, nearly none of them in cycles, and holds thousands of rollouts.
At its usual pace (every 700 objects) the collector walks over those again and again: 10% to 20% of a run's processor
time at 1,000 in flight.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["calm_collector"]

_THRESHOLDS = (20_000, 20, 20)


@contextmanager
def calm_collector() -> Iterator[None]:
    """Sets the thresholds of the process inside, and what they were before after it. Whoever has switched it off, or
    set it calmer still, is left alone."""
    before = gc.get_threshold()
    if not 0 < before[0] < _THRESHOLDS[0]:
        yield
        return
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
