"""A real forward proxy on 127.0.0.1: passes plain requests on, opens tunnels, and leads every name to one port.

async with TinyProxy(server.port) as proxy:
    ...  # http_proxy=proxy.url; proxy.asked holds each request line
"""

from __future__ import annotations

import asyncio
from typing import Self
from urllib.parse import urlsplit

__all__ = ["TinyProxy"]


class TinyProxy:
    """Serves until the `async with` ends. `refuses`: answer CONNECT with 407."""

    def __init__(self, upstream: int, *, refuses: bool = False) -> None:
        self.asked: list[str] = []
        self._upstream = upstream
        self._refuses = refuses
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._pass_on(reader, writer)
        except (asyncio.CancelledError, asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client connection, for its first request's sake. Plain requests after it go the same way unread, which is
        enough here: servers take a whole URL as well as a path."""
        head = await reader.readuntil(b"\r\n\r\n")
        line, _, rest = head.partition(b"\r\n")
        self.asked.append(line.decode("latin-1"))
        method, target, version = line.split(b" ")
        if method == b"CONNECT" and self._refuses:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._upstream)
        if method == b"CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            path = urlsplit(target).path
            back.write(b"%b %b %b\r\n%b" % (method, path, version, rest))
        try:
            await asyncio.gather(_pipe(reader, back), _pipe(there, writer))
        finally:
            back.transport.abort()


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()
    sink.close()
