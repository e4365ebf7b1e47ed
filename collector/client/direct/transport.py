"""DirectTransport: requests straight to their server over the project's own connections.

A full httpx transport, and a short way for those who send much: `prepare` a target once, `exchange` bodies with it.
Both read a reply whole, up to a cap. Redirects are not followed; proxies are not asked.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpx

from collector.client.direct.connection import Caps, Connection
from collector.client.direct.dial import Dialer, verifying_context
from collector.client.direct.head import Origin, encode_head, origin_of
from collector.client.direct.pool import Pool
from collector.client.wire import CutError, TooLargeError, WireReply

__all__ = ["DirectTransport", "Target"]

_ERROR_BYTES = 64 * 2**10
"""How much of a reply that is no 2xx is kept: its message stands at the front."""
_SPENT = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})
"""Headers of a body as it was sent, wrong for the decoded one."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests of one kind go, with all of them that does not change."""

    pool: Pool
    head: bytes
    bodiless: bool


class DirectTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 to any origin, for one event loop. `connect` and `total` are seconds, `max_bytes` caps a reply's body,
    decoded. `compressed`: ask for compressed replies. `context`: TLS other than `verifying_context()`."""

    def __init__(
        self,
        *,
        connect: float,
        total: float,
        max_bytes: int,
        compressed: bool = True,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.stale_retries = 0
        """How often a reused connection turned out dead, and its request went out again on a new one."""
        self._connect = connect
        self._total = total
        self._caps: Caps = max_bytes, min(_ERROR_BYTES, max_bytes)
        self._compressed = compressed
        self._context = context
        self._pools: dict[Origin, Pool] = {}

    def prepare(self, method: str, url: httpx.URL, headers: Iterable[tuple[bytes, bytes]]) -> Target:
        """A target for `exchange`. Raises httpx.UnsupportedProtocol, httpx.LocalProtocolError."""
        head = encode_head(method, url, headers, compressed=self._compressed)
        return Target(self._pool(origin_of(url)), head, method == "HEAD")

    async def exchange(self, target: Target, body: bytes | None, seconds: float) -> WireReply:
        """One request and its whole reply, within `seconds`.

        A reused connection that closes without one byte of the reply was stale: the request goes out once more, on a
        new connection, in what is left of the time. Raises httpx.ConnectError, TlsError, httpx.ConnectTimeout,
        httpx.ReadTimeout, CutError, NoHttpError, httpx.DecodingError. A fault or a cancellation closes the connection.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        deadline = now + seconds
        connection = target.pool.take(now)
        if connection is not None:
            try:
                return await self._on(connection, target, body, deadline)
            except CutError as error:
                if error.answered:
                    raise
                self.stale_retries += 1
        left = deadline - loop.time()
        connection = await target.pool.dial(min(left, self._connect))
        return await self._on(connection, target, body, deadline)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """httpx's seam. The read timeout of the request's extensions bounds the whole reply. Raises TooLargeError, and
        what `exchange` raises."""
        body = await request.aread()
        target = self.prepare(request.method, request.url, request.headers.raw)
        given: dict[str, Any] = request.extensions.get("timeout") or {}
        reply = await self.exchange(target, body or _empty_body(request), given.get("read") or self._total)
        if not reply.whole and 200 <= reply.status < 300:
            raise TooLargeError(f"the reply is larger than {self._caps[0]} bytes")
        headers = [header for header in reply.headers if header[0] not in _SPENT]
        return httpx.Response(reply.status, headers=headers, stream=httpx.ByteStream(reply.body), request=request)

    async def aclose(self) -> None:
        """Closes every connection. The transport can be used again, with new ones."""
        pools = list(self._pools.values())
        self._pools.clear()
        for pool in pools:
            await pool.close()

    async def _on(self, connection: Connection, target: Target, body: bytes | None, deadline: float) -> WireReply:
        end = b"\r\n" if body is None else b"content-length: %d\r\n\r\n" % len(body)
        try:
            return await connection.exchange(
                target.head + end, body or b"", self._caps, deadline, bodiless=target.bodiless
            )
        finally:
            target.pool.give_back(connection)

    def _pool(self, origin: Origin) -> Pool:
        pool = self._pools.get(origin)
        if pool is None:
            if origin.tls and self._context is None:
                self._context = verifying_context()
            pool = self._pools[origin] = Pool(Dialer(origin, self._context if origin.tls else None))
        return pool


def _empty_body(request: httpx.Request) -> bytes | None:
    """An empty body is announced where the method leads a server to wait for one."""
    return b"" if request.method in ("POST", "PUT", "PATCH") else None
