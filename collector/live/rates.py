"""How fast a run is now: counts over the last while, so that a slow start or a change of load soon shows."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["Counts", "Pace", "Recent"]

_SECONDS = 30.0
_ENOUGH = 20
"""Where 30 seconds bring fewer rollouts than this, the window is longer: two of them make no rate."""
_EVERY = 1.0


@dataclass(frozen=True, slots=True)
class Counts:
    """Rollouts of this run on disk, those settled (on disk, failed, or found to be needless), and output tokens."""

    rollouts: int = 0
    settled: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """`elapsed` seconds of the run, and what Counts counts by the second."""

    elapsed: float
    rollouts: float = 0.0
    settled: float = 0.0
    tokens: float = 0.0


class Recent:
    """Rates over a window that ends now, of a run that began at `now`, in seconds of a monotonic clock."""

    def __init__(self, now: float) -> None:
        self._began = now
        self._samples: deque[tuple[float, Counts]] = deque([(now, Counts())])

    def add(self, now: float, counts: Counts) -> None:
        """The counts as they stand. May be called at any pace: one sample a second is kept, and none where nothing has
        changed."""
        samples = self._samples
        at, last = samples[-1]
        if now - at >= _EVERY and counts.settled > last.settled:
            samples.append((now, counts))
        while len(samples) > 1:
            at, then = samples[1]
            if now - at < _SECONDS or counts.settled - then.settled < _ENOUGH:
                return
            samples.popleft()

    def pace(self, now: float, counts: Counts) -> Pace:
        """The pace of the window, up to now and these counts."""
        return self._since(*self._samples[0], now, counts)

    def overall(self, now: float, counts: Counts) -> Pace:
        """The pace of the whole run."""
        return self._since(self._began, Counts(), now, counts)

    def _since(self, at: float, then: Counts, now: float, counts: Counts) -> Pace:
        elapsed, seconds = now - self._began, now - at
        if seconds <= 0:
            return Pace(elapsed)
        return Pace(
            elapsed,
            (counts.rollouts - then.rollouts) / seconds,
            (counts.settled - then.settled) / seconds,
            (counts.tokens - then.tokens) / seconds,
        )
