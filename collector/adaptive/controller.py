"""One endpoint's controller: told of completions, loads, refusals and faults, it says how many may be in flight.

A state machine whose only link to the world is its clock. It never asks for a request to be cancelled: the youngest
would be the ones that go, and long answers with them. Not covered here: who holds back requests (`limiter`).
"""

from __future__ import annotations

import time
from collections.abc import Callable

from collector.adaptive.changes import Cut, LimitChange
from collector.adaptive.gradient import HARD_MAX, Gradient
from collector.adaptive.level import Level
from collector.adaptive.queue_target import QueueTarget
from collector.load import ServerLoad

__all__ = ["Controller"]

_NEARLY = 0.9
"""The share of the limit that must be in flight for it to grow: a limit that is not used is not tried either."""
_RECENT = 1.0
"""Seconds, once to twice, for which the most that were in flight is remembered: replies that come in one burst, as
those of equal length do, leave few behind them, though all slots were taken."""
_REFUSED = 0.7
_PAUSE = 2.0
_LATENCY_WEIGHT = 0.05


class Controller:
    """`limit` is between `low` and `high`, and begins at `start`. Each method that may change it returns the change.

    `in_flight` is the number of requests at this endpoint, the one that just ended included.
    """

    def __init__(
        self, endpoint: str, low: int, high: int, start: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.endpoint = endpoint
        self.held_until = float("-inf")
        """No request should be sent before: the server asked for it."""
        self._clock = clock
        self._level = Level(low, high, start)
        self._queue = QueueTarget()
        self._gradient = Gradient()
        self._latency = 0.0
        self._reading = float(self._level.limit)
        """The limit at the last load."""
        self._most_out = (0, 0)
        """The most in flight in this second and in the one before."""
        self._second = float("-inf")
        self._refused = False
        """An episode of refusals goes on: nothing that was sent since its cut has been answered well."""

    @property
    def limit(self) -> int:
        return self._level.limit

    @property
    def shows_queue(self) -> bool:
        """Whether the server ever said how busy it is."""
        return self._queue.load is not None

    def completed(self, in_flight: int, latency: float, tokens: float) -> LimitChange | None:
        """A good reply of so many output tokens, after `latency` seconds."""
        now = self._clock()
        self._latency += (latency - self._latency) * (_LATENCY_WEIGHT if self._latency else 1.0)
        self._refused = self._refused and now - latency <= self._level.cut_at
        if not self.shows_queue:
            cut = self._gradient.completed(latency, tokens, in_flight, self.limit)
            if cut is not None:
                return self._cut(cut, now)
        out = self._recently_out(in_flight, now)
        # Within one burst no request can go out that would use what the limit has just grown by.
        tried = min(float(self.limit), self._reading) if self.shows_queue else self.limit
        if out < _NEARLY * tried or self._level.paused(now):
            return None
        return self._grow(out, now)

    def loaded(self, load: ServerLoad, in_flight: int) -> LimitChange | None:
        """The server said how busy it is."""
        now = self._clock()
        cut = self._queue.loaded(load, self._recently_out(in_flight, now), self.limit, self._latency)
        change = None if cut is None else self._cut(cut, now)
        self._reading = float(self.limit)
        return change

    def refused(self, sent: float, in_flight: int, retry_after: float) -> LimitChange | None:
        """The server turned a request away (429, 503) that was sent at `sent`; it asked for a pause of `retry_after`
        seconds, or 0. One cut in an episode: it ends with a good reply to a request that was sent after its cut, so
        that neither the many that were sent together nor a server that is gone for a minute take the limit down."""
        now = self._clock()
        self.held_until = max(self.held_until, now + retry_after)
        self._level.pause(max(self.held_until, now + self._pause))
        self._queue.slow_start = False
        if self._refused or sent <= self._level.cut_at:
            return None
        self._refused = True
        self._level.refused_at(in_flight, now)
        return self._cut(Cut(_REFUSED * min(in_flight, self.limit), self._pause, "refused"), now)

    def faulted(self) -> None:
        """A request failed otherwise, in a way that may pass: no growth for a while."""
        self._level.pause(self._clock() + self._pause)

    @property
    def _pause(self) -> float:
        return max(_PAUSE, self._latency / 2)

    def _recently_out(self, in_flight: int, now: float) -> int:
        """The most that were in flight of late."""
        latest, before = self._most_out
        if now - self._second >= _RECENT:
            latest, before = 0, latest if now - self._second < 2 * _RECENT else 0
            self._second = now
        self._most_out = max(latest, in_flight), before
        return max(self._most_out)

    def _cut(self, cut: Cut, now: float) -> LimitChange | None:
        old = self.limit
        self._level.cut(cut, now)
        return self._change(old, now, cut.reason)

    def _grow(self, in_flight: int, now: float) -> LimitChange | None:
        old = self.limit
        if self.shows_queue:
            gain = self._queue.gain(now)
            # Where a reply takes less than the time between two loads, one of them must not bring many rounds.
            self._level.grow(gain, in_flight, self._reading * (1.0 + gain) + 1.0, now)
        else:
            self._level.grow(self._gradient.gain, in_flight, max(HARD_MAX, self._level.low), now)
        return self._change(old, now, "slow start" if self.shows_queue and self._queue.slow_start else "room")

    def _change(self, old: int, now: float, reason: str) -> LimitChange | None:
        if self.limit == old:
            return None
        return LimitChange(now, self.endpoint, old, self.limit, reason)
