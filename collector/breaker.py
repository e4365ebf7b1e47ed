"""When an endpoint that gives errors alone is passed over, and when it is tried again. Pure: no clock of its own.

A circuit breaker: one prompt now and then finds out whether the endpoint works again, all others are spared the try.
"""

from __future__ import annotations

__all__ = ["Breaker", "is_endpoints_fault"]

_OPENS_AFTER = 8
"""Errors one after another, with no good reply between. Fewer may be the prompts' fault, or a moment's load."""
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0
_OF_THE_ENDPOINT = frozenset({401, 403, 404, 405, 410})


def is_endpoints_fault(status: int) -> bool:
    """Whether an error status is more likely the endpoint's fault than the prompt's or the load's."""
    return status >= 500 or status in _OF_THE_ENDPOINT


class Breaker:
    """One endpoint's. `open` while it should be passed over, where there is another."""

    __slots__ = ("_again", "_errors", "_pause", "open")

    def __init__(self) -> None:
        self.open = False
        self._errors = 0
        self._pause = 0.0
        self._again = 0.0

    def worked(self) -> bool:
        """A good reply came. True when that closes the breaker."""
        was_open = self.open
        self.open = False
        self._errors = 0
        self._pause = 0.0
        return was_open

    def failed(self, now: float) -> bool:
        """An error came. True when it opens the breaker."""
        self._errors += 1
        if self.open or self._errors < _OPENS_AFTER:
            return False
        self.open = True
        self._wait(now)
        return True

    def try_again(self, now: float) -> bool:
        """Whether one request should find out now; the next may after a pause twice as long."""
        if not self.open or now < self._again:
            return False
        self._wait(now)
        return True

    def _wait(self, now: float) -> None:
        self._pause = min(max(2 * self._pause, _FIRST_PAUSE), _LONGEST_PAUSE)
        self._again = now + self._pause
