"""How ModelClient's requests reach a transport: the short way into our own, httpx's seam into any other.

A carrier knows the base URL and the headers, keeps to a time limit and caps, and resends into stale connections; it
raises whatever the transport raises. What that means is told by `faults`.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

import httpx

from collector.client.direct import DirectTransport
from collector.client.direct.transport import Target
from collector.client.faults import is_unanswered
from collector.client.wire import WireReply

__all__ = ["Carrier", "DirectCarrier", "HttpxCarrier", "make_carrier"]

_STALE_SECONDS = 1.0
"""A stale connection says so within a round trip. A cut after a longer wait means that the server had the request."""
_STALE_TRIES = 2
"""Fresh tries before a cut counts: the first of them may find another stale connection."""
_ERROR_BYTES = 64 * 2**10
"""How much of a reply that is no 2xx is read: its message stands at the front."""


class Carrier(Protocol):
    """`stale_retries` counts requests sent again, at no attempt's cost, because a reused connection was dead."""

    @property
    def stale_retries(self) -> int: ...

    async def exchange(self, method: str, path: str, body: bytes | None, seconds: float) -> WireReply:
        """One request and its whole reply, within `seconds`. Raises exceptions of httpx and of the system."""
        ...


def make_carrier(
    transport: httpx.AsyncBaseTransport, base: str, headers: httpx.Headers, max_bytes: int
) -> DirectCarrier | HttpxCarrier:
    """The carrier that fits `transport`."""
    if isinstance(transport, DirectTransport):
        return DirectCarrier(transport, base, headers)
    return HttpxCarrier(transport, base, headers, max_bytes)


class DirectCarrier:
    """Prepared targets, no object of httpx for a request, and exact knowledge of stale connections."""

    def __init__(self, transport: DirectTransport, base: str, headers: httpx.Headers) -> None:
        self._transport = transport
        self._base = base
        self._headers = headers.raw
        self._targets: dict[tuple[str, str], Target] = {}

    @property
    def stale_retries(self) -> int:
        return self._transport.stale_retries

    async def exchange(self, method: str, path: str, body: bytes | None, seconds: float) -> WireReply:
        target = self._targets.get((method, path))
        if target is None:
            target = self._transport.prepare(method, httpx.URL(self._base + path), self._headers)
            self._targets[method, path] = target
        return await self._transport.exchange(target, body, seconds)


class HttpxCarrier:
    """Any httpx transport. None says whether a connection was reused: time and history decide whether it was stale."""

    def __init__(self, transport: httpx.AsyncBaseTransport, base: str, headers: httpx.Headers, max_bytes: int) -> None:
        self.stale_retries = 0
        self._transport = transport
        self._base = base
        self._headers = headers
        self._max_bytes = max_bytes
        self._urls: dict[str, httpx.URL] = {}
        self._answered = False

    async def exchange(self, method: str, path: str, body: bytes | None, seconds: float) -> WireReply:
        for _ in range(_STALE_TRIES):
            began = time.monotonic()
            try:
                return await self._exchange(method, path, body, seconds)
            except httpx.HTTPError as error:
                quick = time.monotonic() - began <= _STALE_SECONDS
                if not (self._answered and quick and is_unanswered(error)):
                    raise
                self.stale_retries += 1
        return await self._exchange(method, path, body, seconds)

    async def _exchange(self, method: str, path: str, body: bytes | None, seconds: float) -> WireReply:
        request = httpx.Request(method, self._url(path), headers=self._headers, content=body)
        # The transport keeps the time itself, and closes the connection when it is up; ours backs it.
        request.extensions = {"timeout": {"read": seconds}}
        async with asyncio.timeout(seconds + min(seconds / 10, 1.0)):
            response = await self._transport.handle_async_request(request)
            try:
                return await self._read(response)
            finally:
                await response.stream.aclose()  # type: ignore[union-attr]

    async def _read(self, response: httpx.Response) -> WireReply:
        self._answered = True
        status = response.status_code
        cap = self._max_bytes if 200 <= status < 300 else _ERROR_BYTES
        announced = response.headers.get("content-length", "")
        body, whole = b"", False
        if not 200 <= status < 300 or not announced.isdecimal() or int(announced) <= cap:
            body, whole = await _read_up_to(response, cap)
        return WireReply(status, response.headers.raw, body, whole)

    def _url(self, path: str) -> httpx.URL:
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = httpx.URL(self._base + path)
        return url


async def _read_up_to(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """(body, True), or (its first `limit` bytes, False) as soon as it exceeds them, decompressed."""
    # A transport that decompresses takes this header away; httpx decodes for one that does not.
    stream = response.aiter_bytes() if "content-encoding" in response.headers else response.stream
    chunks: list[bytes] = []
    size = 0
    async for chunk in stream:  # type: ignore[union-attr]
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            return b"".join(chunks)[:limit], False
    return chunks[0] if len(chunks) == 1 else b"".join(chunks), True
