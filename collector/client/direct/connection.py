"""One connection: one request at a time, its whole reply, within a deadline. Who gives up on it, closes it."""

from __future__ import annotations

import asyncio
from typing import cast

import httpx

from collector.client.direct.reader import ReplyReader
from collector.client.wire import CutError, WireReply

__all__ = ["Caps", "Connection"]

_WRITTEN_APART = 64 * 2**10
"""A body of this size is not copied once more to stand behind its head."""

Caps = tuple[int, int]
"""The most bytes of a 2xx body, and of any other."""


class Connection(asyncio.Protocol):
    """Made by the loop. `exchange` sends a request; `reusable` and `idle_since` are the pool's to read."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.is_open = False
        self.idle_since = 0.0
        self.heard = False
        """Whether a byte of the present reply has come."""
        self._loop = loop
        self._reader = ReplyReader()
        self._reply: asyncio.Future[None] | None = None
        self._lost: asyncio.Future[None] = loop.create_future()

    async def exchange(self, head: bytes, body: bytes, caps: Caps, deadline: float, *, bodiless: bool) -> WireReply:
        """Sends the request and returns its reply. Raises CutError, NoHttpError, httpx.ReadTimeout at `deadline` (the
        loop's time), httpx.DecodingError. After any of them, and when cancelled, the connection is closed at once: the
        server can see that nobody waits any more."""
        assert self._reply is None  # noqa: S101 - never two requests on one connection
        if not self.is_open:
            raise CutError("the server closed the connection", answered=False)
        self.heard = False
        self._reader.expect(*caps, bodiless=bodiless)
        reply = self._reply = self._loop.create_future()
        timer = self._loop.call_at(deadline, self._expire)
        try:
            if len(body) < _WRITTEN_APART:
                self._transport.write(head + body)
            else:
                self._transport.write(head)
                self._transport.write(body)
            await reply
            if not self._may_be_reused():
                self.abort()
            return self._reader.reply()
        except BaseException:
            self.abort()
            self._reader.forget()
            raise
        finally:
            timer.cancel()
            self._reply = None

    def abort(self) -> None:
        """Closes the connection without waiting for anything."""
        if self.is_open:
            self.is_open = False
            self._transport.abort()

    async def wait_lost(self) -> None:
        """Returns when the loop has let go of the connection."""
        await self._lost

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        if reply is None or reply.done():
            self.abort()  # nobody asked
            return
        self.heard = True
        try:
            if self._reader.feed(data):
                reply.set_result(None)
        except httpx.HTTPError as error:
            reply.set_exception(error)

    def eof_received(self) -> None:
        reply = self._reply
        if reply is not None and not reply.done() and self._reader.end():
            reply.set_result(None)
        # The loop closes the connection now, and calls connection_lost.

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        if not self._lost.done():
            self._lost.set_result(None)
        reply = self._reply
        if reply is not None and not reply.done():
            words = (getattr(error, "strerror", None) or str(error)) if error else "the server closed the connection"
            reply.set_exception(CutError(words, answered=self.heard))

    def _expire(self) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(httpx.ReadTimeout("the time is up"))

    def _may_be_reused(self) -> bool:
        """A server that answers before it has heard all of the request may not read the rest of it."""
        return self._reader.reusable and not self._transport.get_write_buffer_size()
