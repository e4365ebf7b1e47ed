"""The limit of one endpoint: it grows smoothly, is cut at once, and stays between two bounds.

Not covered here: by what law (`queue_target`, `gradient`).
"""

from __future__ import annotations

from collector.adaptive.changes import Cut

__all__ = ["Level"]

_BELOW = 0.97
"""The share of what was refused up to which the limit may grow until the ceiling is tried again."""
_PROBE_GAIN = 0.02
_FIRST_PATIENCE = 15.0
_LONGEST_PATIENCE = 300.0
_PASSED = 1.05
"""Above this share of the ceiling it is none any more."""


class Level:
    """`low` and `high` bound it. Times are seconds of one clock.

    A ceiling is the number in flight at which the server refused a request. The limit keeps below it, and tries it
    again, slowly, after a pause that doubles each time: a server with a hard cap is not run into time and again.
    """

    def __init__(self, low: int, high: int, start: int) -> None:
        self.low = low
        self.high = high
        self.cut_at = float("-inf")
        self._value = float(min(high, max(low, start)))
        self._paused_until = float("-inf")
        self._ceiling = float("inf")
        self._patience = 0.0
        self._probe_at = float("-inf")

    @property
    def limit(self) -> int:
        return int(self._value + 1e-9)

    def paused(self, now: float) -> bool:
        return now < self._paused_until

    def pause(self, until: float) -> None:
        """No growth before `until`, or later where that was said already."""
        self._paused_until = max(self._paused_until, until)

    def grow(self, gain: float, in_flight: int, most: float, now: float) -> None:
        """One completion's growth: times 1 + `gain` after `in_flight` of them; never above `most` nor `high`."""
        if self._value > _PASSED * self._ceiling:
            self._ceiling, self._patience = float("inf"), 0.0
        if self._value >= _BELOW * self._ceiling:
            gain = min(gain, _PROBE_GAIN)
        if now < self._probe_at:
            most = min(most, _BELOW * self._ceiling)
        grown = self._value * (1.0 + gain) ** (1.0 / max(1, in_flight))
        self._value = max(self._value, min(grown, most, self.high))

    def cut(self, cut: Cut, now: float) -> None:
        """Down to `cut.to`, not below `low`, and never up."""
        self._value = max(float(self.low), min(self._value, cut.to))
        self.cut_at = now
        self.pause(now + cut.pause)

    def refused_at(self, in_flight: int, now: float) -> None:
        """The server refused a request while so many were out."""
        self._ceiling = float(max(in_flight, self.low))
        self._patience = min(_LONGEST_PATIENCE, max(_FIRST_PATIENCE, 2 * self._patience))
        self._probe_at = now + self._patience
