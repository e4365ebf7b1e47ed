"""How fast a run is now: counts over the last while, so that a slow start or a change of load soon shows."""

from __future__ import annotations

from collections import deque

__all__ = ["Recent"]

_SECONDS = 30.0
_ENOUGH = 20
"""Where 30 seconds bring fewer rollouts than this, the window is longer: two of them make no rate."""
_EVERY = 1.0


class Recent:
    """Rates over a window that ends now. Times are seconds of a monotonic clock, counts only grow."""

    def __init__(self, now: float) -> None:
        self._began = now
        self._samples: deque[tuple[float, float, float]] = deque([(now, 0.0, 0.0)])

    def add(self, now: float, ended: float, tokens: float) -> None:
        """The counts as they stand: rollouts that came to an end, and output tokens. May be called at any pace: about
        one sample a second is kept, and none where nothing has changed."""
        samples = self._samples
        last = samples[-1]
        if now - last[0] >= _EVERY and ended > last[1]:
            samples.append((now, ended, tokens))
        while len(samples) > 1 and now - samples[1][0] >= _SECONDS and ended - samples[1][1] >= _ENOUGH:
            samples.popleft()

    def per_second(self, now: float, ended: float, tokens: float) -> tuple[float, float]:
        """Rollouts and output tokens a second, up to now and these counts; zeros before any time has passed."""
        since, ended_then, tokens_then = self._samples[0]
        seconds = now - since
        if seconds <= 0:
            return 0.0, 0.0
        return (ended - ended_then) / seconds, (tokens - tokens_then) / seconds

    def overall(self, now: float, ended: float, tokens: float) -> tuple[float, float]:
        """The same over all of the run."""
        seconds = now - self._began
        return (ended / seconds, tokens / seconds) if seconds > 0 else (0.0, 0.0)
