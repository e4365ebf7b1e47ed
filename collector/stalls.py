"""What is out at the server: how many requests, since when, and for how long no reply has come.

A silence is told once, and its end. A request that hangs ends by its own timeout, so nothing is done here.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio

from collector.observer import Observer
from collector.policies import Timeouts
from collector.work import Job

__all__ = ["Outstanding"]

_TELL_AGAIN = 2.0
"""A server that is merely slow would be told at each of its silences: the next must be twice as long."""


class Outstanding:
    """The requests in flight. Times are seconds of a monotonic clock."""

    def __init__(self, timeouts: Timeouts, observer: Observer, clock: Callable[[], float] = time.monotonic) -> None:
        self.high_water = 0
        """The most requests that were ever out at once."""
        self._timeouts = timeouts
        self._observer = observer
        self._clock = clock
        self._patience = timeouts.stall
        self._sent: dict[Job, float] = {}
        self._silent_since = 0.0
        self._told = False

    def __len__(self) -> int:
        return len(self._sent)

    def sent(self, job: Job, now: float) -> None:
        """A request goes out."""
        if not self._sent:
            self._silent_since = now
        self._sent[job] = now
        if len(self._sent) > self.high_water:
            self.high_water = len(self._sent)

    def back(self, job: Job) -> None:
        """A request is over, however it ended."""
        self._sent.pop(job, None)

    def replied(self, now: float) -> None:
        """The server answered something."""
        if self._told:
            self._told = False
            silence = now - self._silent_since
            self._patience = max(self._patience, _TELL_AGAIN * silence)
            self._observer.note(f"replies come again, after {silence:.0f} s without one")
        self._silent_since = now

    async def watch(self) -> None:
        """Tells of each silence that outlasts the user's patience. Never returns."""
        while True:
            pause = self.look()
            await anyio.sleep(pause)

    def look(self) -> float:
        """Tells of a silence when there is one by now; the seconds until there could be the next."""
        if not self._sent or self._told:
            return self._patience
        now = self._clock()
        silence = now - self._silent_since
        if silence < self._patience:
            return self._patience - silence
        self._told = True
        oldest = now - next(iter(self._sent.values()))
        self._observer.note(
            f"no reply for {silence:.0f} s: {len(self._sent)} requests in flight, the oldest for {oldest:.0f} s;"
            f" each ends by --request-timeout ({self._timeouts.total:g} s)"
        )
        return self._patience
