"""ProxiedTransport: pyreqwest's httpx transport, over Rust's reqwest, with its exceptions put into ours.

It takes the proxy, and the hosts that go without one, from the environment. Known of pyreqwest 0.15: a task that is
cancelled leaves its request running until the total timeout, or the end of the process, closes the connection. So the
total timeout is set here, where it does close it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import httpx
from pyreqwest.client import ClientBuilder
from pyreqwest.compatibility.httpx import HttpxTransport
from pyreqwest.exceptions import BuilderError, PyreqwestError

from collector.client.direct.pool import IDLE_SECONDS
from collector.client.wire import CutError, NoHttpError, TlsError

__all__ = ["ProxiedTransport"]

_TLS_WORDS = ("certificate", "tls", "ssl", "handshake")
_TORN_WORDS = ("end of file", "unexpected eof", "reading a body from connection", "connection reset", "broken pipe")
_NO_HTTP_WORDS = ("invalid", "parsed")


class ProxiedTransport(httpx.AsyncBaseTransport):
    """Every request goes through the environment's proxy, shown as `via`. `connect` and `total` are seconds."""

    def __init__(self, connect: float, total: float, *, via: str) -> None:
        self._via = via
        builder = (
            ClientBuilder()
            .follow_redirects(False)
            .referer(False)
            .connect_timeout(timedelta(seconds=connect))
            .timeout(timedelta(seconds=total))
            .pool_idle_timeout(timedelta(seconds=IDLE_SECONDS))
        )
        self._inner = HttpxTransport(builder.build())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """httpx's seam. Raises exceptions of httpx and of `wire` alone."""
        try:
            response = await self._inner.handle_async_request(request)
        except (httpx.HTTPError, PyreqwestError) as error:
            raise self._put_right(error) from error
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - told to the type checker
        response.stream = _Stream(response.stream, self)
        return response

    async def aclose(self) -> None:
        """Closes every connection."""
        await self._inner.aclose()

    def _put_right(self, error: Exception) -> Exception:
        """What `error` means. pyreqwest says ConnectError of a cut in the middle too, and DecodeError of a torn body;
        the causes behind it tell them apart: "(Connect)" or "(SendRequest)"."""
        words = list(_story(error))
        last = words[-1] if words else type(error).__name__
        if _mentions(words, ("(connect)",)):
            return self._unconnected(error, words)
        if isinstance(error, httpx.TimeoutException):
            return httpx.ReadTimeout(last)
        if isinstance(error, BuilderError):
            return httpx.LocalProtocolError(last)
        if not isinstance(error, httpx.DecodingError):
            return CutError(last, answered=not _mentions(words, ("(sendrequest)",)))
        if _mentions(words[-1:], _NO_HTTP_WORDS):
            return NoHttpError(last)
        return CutError(last, answered=True) if _mentions(words, _TORN_WORDS) else httpx.DecodingError(last)

    def _unconnected(self, error: Exception, words: list[str]) -> Exception:
        if isinstance(error, httpx.TimeoutException):
            return httpx.ConnectTimeout(words[-1])
        if _mentions(words[-2:], _TLS_WORDS):
            return TlsError(words[-1])
        return httpx.ConnectError(f"{words[-1]}; through the proxy {self._via} of the environment")


class _Stream(httpx.AsyncByteStream):
    """A body whose faults are put right as well."""

    def __init__(self, inner: httpx.AsyncByteStream, transport: ProxiedTransport) -> None:
        self._inner = inner
        self._transport = transport

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._inner:
                yield chunk
        except (httpx.HTTPError, PyreqwestError) as error:
            raise self._transport._put_right(error) from error

    async def aclose(self) -> None:
        await self._inner.aclose()


def _story(error: BaseException | None) -> Iterator[str]:
    """What the error and its causes say, outermost first. pyreqwest keeps its causes in `details`."""
    while error is not None:
        details = getattr(error, "details", None)
        causes = details.get("causes") if isinstance(details, dict) else None
        yield from filter(None, [str(error), *(str(cause.get("message", "")) for cause in causes or ())])
        error = error.__cause__


def _mentions(words: list[str], wanted: tuple[str, ...]) -> bool:
    return any(part in line.lower() for line in words for part in wanted)
