"""Calls something every so often, from the event loop that is running; without one, never."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Ticker"]


class Ticker:
    """`tick` is called after `first` seconds and then after every further `seconds`, until `stop`."""

    def __init__(self, tick: Callable[[], None], first: float, seconds: float) -> None:
        self._tick = tick
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None
        try:
            self._loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._timer = self._loop.call_later(first, self._run)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self) -> None:
        self._timer = self._loop.call_later(self._seconds, self._run)
        self._tick()
