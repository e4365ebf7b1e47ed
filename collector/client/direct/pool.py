"""The connections of one origin: the idle one used last goes out first, so that those not needed grow old and close.

No ceiling: how many requests are in flight is the limiter's decision alone. Every step costs the same however many
connections there are.
"""

from __future__ import annotations

import asyncio
from collections import deque

from collector.client.direct.connection import Connection
from collector.client.direct.dial import Dialer

__all__ = ["IDLE_SECONDS", "Pool"]

IDLE_SECONDS = 4.0
"""How long an idle connection is kept. uvicorn (vLLM, SGLang, NeMo Gym) and llama.cpp close theirs after 5 seconds: a
client that lets go first never sends into a connection that is just being closed."""


class Pool:
    """`take` or `dial` a connection, and `give_back` what can be used again. One event loop."""

    def __init__(self, dialer: Dialer) -> None:
        self._dialer = dialer
        self._idle: deque[Connection] = deque()
        """The oldest on the left. Some may be closed already: they are passed over, and swept."""
        self._all: set[Connection] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    def take(self, now: float) -> Connection | None:
        """The idle connection that was used last, or None."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and now - connection.idle_since < IDLE_SECONDS:
                return connection
            self._drop(connection)
        return None

    async def dial(self, seconds: float) -> Connection:
        """A new connection. Raises what Dialer.dial raises."""
        connection = await self._dialer.dial(seconds)
        self._all.add(connection)
        return connection

    def give_back(self, connection: Connection) -> None:
        """The exchange is over; a connection that is still open may serve another."""
        if not connection.is_open:
            self._all.discard(connection)
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = loop.call_later(IDLE_SECONDS, self._sweep)

    async def close(self) -> None:
        """Closes every connection, those in use too, and returns when the loop has let go of them."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        closing = list(self._all)
        self._idle.clear()
        self._all.clear()
        for connection in closing:
            connection.abort()
        for connection in closing:
            await connection.wait_lost()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeper = None
        while self._idle and loop.time() - self._idle[0].idle_since >= IDLE_SECONDS:
            self._drop(self._idle.popleft())
        if self._idle:
            self._sweeper = loop.call_at(self._idle[0].idle_since + IDLE_SECONDS, self._sweep)

    def _drop(self, connection: Connection) -> None:
        connection.abort()
        self._all.discard(connection)
