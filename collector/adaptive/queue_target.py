"""The law for a server that shows its queue: as many in flight that a few requests wait, and no more.

A server with continuous batching (vLLM, SGLang) queues without bound: past its capacity nothing grows but the wait. So
its throughput is had at the smallest number at which its queue is never empty, and preemptions, which cost work done,
are kept away by the fill of the key-value cache.
"""

from __future__ import annotations

from collector.adaptive.changes import Cut
from collector.load import ServerLoad

__all__ = ["STALE", "QueueTarget"]

STALE = 15.0
"""Seconds: a load that is older says nothing about now, and nothing grows by it."""
_TARGET_SHARE = 0.05
_TARGET_LEAST = 2.0
_POLLS = 3
"""Loads in a row over twice the target before the queue is too long: one may be a burst of arrivals."""
_SLOW_START = 1.0
_STEADY = 0.25
_ROOM_ENDS = 0.92
"""The cache's fill at which growth ends: its sequences grow on by themselves."""
_FULL = 0.97
_SLOPE = 4.0
"""Growth slows in the last quarter below that end. A fill swings by itself, more so the fewer sequences make it: ends
at 0.85 and 0.92, and growth that slows from the start, cost 4 to 8 more percent of the rate of the best fixed number in
the simulation (docs/parallelism.md), and saved 3 to 8 preemptions in a hundred rollouts."""
_PREEMPTED = 0.85
_COOLDOWN = 2.0


class QueueTarget:
    """Fed with each load, asked for the gain at each completion. All times are of one clock, in seconds."""

    def __init__(self) -> None:
        self.load: ServerLoad | None = None
        """The last one."""
        self.slow_start = True
        self._preemptions: float | None = None
        self._new_preemptions = 0.0
        self._over_target = 0
        self._over_twice = 0

    @property
    def target(self) -> float:
        """How many requests should wait at the server."""
        running = self.load.running if self.load else 0.0
        return max(_TARGET_LEAST, _TARGET_SHARE * running)

    def gain(self, now: float) -> float:
        """By how much the limit may grow in one round of completions; 0 while it may not."""
        load = self.load
        if load is None or now - load.at > STALE or load.waiting > self.target or self._new_preemptions:
            return 0.0
        room = min(1.0, _SLOPE * (1.0 - (load.kv or 0.0) / _ROOM_ENDS))
        return max(0.0, room) * (_SLOW_START if self.slow_start else _STEADY)

    def loaded(self, load: ServerLoad, in_flight: int, limit: int, latency: float) -> Cut | None:
        """A new load; what it asks for. `latency` is a request's mean, in seconds.

        While more are out than the limit allows an earlier cut has yet to take effect, and only the queue itself, whose
        measure does not change by it, may ask for another.
        """
        self._count(load)
        self.load = load
        cut = self._cut(load, in_flight, limit, latency)
        if cut is not None or self._over_target >= 2:
            self.slow_start = False
        return cut

    def _count(self, load: ServerLoad) -> None:
        target = max(_TARGET_LEAST, _TARGET_SHARE * load.running)
        self._over_target = self._over_target + 1 if load.waiting > target else 0
        self._over_twice = self._over_twice + 1 if load.waiting > 2 * target else 0
        before, self._preemptions = self._preemptions, load.preemptions
        known = before is not None and load.preemptions is not None
        # A counter that fell is another server's, or the same one's after a restart.
        self._new_preemptions = max(0.0, load.preemptions - before) if known else 0.0  # type: ignore[operator]

    def _cut(self, load: ServerLoad, in_flight: int, limit: int, latency: float) -> Cut | None:
        out = min(in_flight, limit)
        took_effect = in_flight <= limit
        if self._over_twice >= _POLLS:
            self._over_twice = 0
            # Alone at the server this is running + target; among others our part of it.
            to = in_flight * (load.running + self.target) / (load.running + load.waiting)
            return Cut(to, _COOLDOWN, f"{load.waiting:.0f} waiting, {load.running:.0f} running")
        pause = max(_COOLDOWN, latency / 2)
        if self._new_preemptions and took_effect:
            return Cut(out * _PREEMPTED, pause, f"{self._new_preemptions:.0f} preempted")
        if load.kv is not None and load.kv > _FULL and took_effect:
            return Cut(out * _ROOM_ENDS / load.kv, pause, f"cache {load.kv:.0%} full")
        return None
