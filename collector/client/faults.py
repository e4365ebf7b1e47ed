"""Third-party exceptions and HTTP statuses -> RequestError, in one place. No exception of httpx leaves this room.

failure_class     retried   what happened
connect           yes       no connection: refused, no such host, connect timeout
tls               no        a connection, but no TLS that can be trusted
connection_lost   yes       cut before the reply was whole
timeout           yes       no whole reply within the total timeout
too_large         no        a reply above the size cap, compressed or not
bad_http          yes       bytes that are no HTTP, or a body that does not decode
bad_request       no        a request that cannot be sent at all
http_<status>     some      any status but 2xx; see RETRIED
"""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import httpx

from collector.client.wire import CutError, NoHttpError, TlsError, TooLargeError
from collector.errors import RequestError
from collector.protocols.server_text import error_text, one_line

__all__ = ["RETRIED", "is_unanswered", "retry_after_seconds", "status_error", "too_large", "transport_error"]

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
"""Statuses that may pass: request timeout, conflict (OpenAI's own clients retry it), too early, rate limit, server and
gateway faults, Cloudflare's 52x for an origin that is away, and 529, some providers' overload."""

_UNSENDABLE = (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL, ValueError)
"""A bare ValueError is some transports' word for a host name that is none."""
_UNCONNECTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_TLS_WORDS = ("certificate", "tls", "ssl", "handshake")
_NO_SUCH_HOST = ("dns error", "name or service not known", "nodename nor servname", "getaddrinfo")


Redact = Callable[[str], str]
"""Takes credentials out of a text. Applied before a text is cut, so that no half of a key stays."""


def transport_error(error: Exception, where: str, seconds: float, redact: Redact) -> RequestError:
    """The RequestError for what a transport raised. `where` names the endpoint, `seconds` is the total timeout."""
    said = one_line(redact(str(error))) or type(error).__name__
    if isinstance(error, _UNCONNECTED):
        return _no_connection(error, said, where)
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return _fault("timeout", f"{where}: no whole reply within {seconds:g} s (--request-timeout)")
    if isinstance(error, _UNSENDABLE):
        return _fault("bad_request", f"{where}: the request cannot be sent: {said}", retryable=False)
    if isinstance(error, TooLargeError):
        return _fault("too_large", f"{where}: {said}; it was not read to its end", retryable=False)
    if isinstance(error, NoHttpError | httpx.DecodingError):
        return _fault("bad_http", f"{where}: the reply cannot be read: {said}")
    return _cut(error, said, where)


def is_unanswered(error: Exception) -> bool:
    """True when the connection was cut before one byte of a reply came. On a reused one it was stale, most likely."""
    if isinstance(error, CutError):
        return not error.answered
    return isinstance(error, httpx.WriteError) or "server disconnected" in str(error).lower()


def too_large(where: str, cap: int, status: int) -> RequestError:
    """The RequestError for a 2xx reply above the cap, in bytes."""
    message = f"{where}: the reply is larger than {cap} bytes; it was not read to its end"
    return _fault("too_large", message, retryable=False, status=status)


def status_error(status: int, headers: Mapping[str, str], body: bytes, where: str, redact: Redact) -> RequestError:
    """The RequestError for a reply that is not 2xx, with the server's own words in it, cut at 300 characters."""
    if 300 <= status < 400:
        target = urlsplit(headers.get("location", "")).netloc.rpartition("@")[2] or "another path"
        message = f"{where}: HTTP {status}, a redirect to {one_line(redact(target), 100)}; redirects are not followed"
        return _fault(f"http_{status}", message, retryable=False, status=status)
    said = one_line(redact(error_text(body)))
    return _fault(
        f"http_{status}",
        f"{where}: HTTP {status}{': ' if said else ''}{said}",
        retryable=status in RETRIED,
        status=status,
        retry_after=retry_after_seconds(headers),
    )


def retry_after_seconds(headers: Mapping[str, str], now: Callable[[], float] = time.time) -> float | None:
    """What Retry-After asks for, in seconds from now, 0 or more: from a number, or an HTTP date. None when it is absent
    or unreadable. Absurd values are returned as they are: the retry policy caps them."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - now()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def _fault(
    failure_class: str,
    message: str,
    *,
    retryable: bool = True,
    status: int | None = None,
    retry_after: float | None = None,
) -> RequestError:
    return RequestError(
        message, failure_class=failure_class, retryable=retryable, status=status, retry_after=retry_after
    )


def _cut(error: Exception, said: str, where: str) -> RequestError:
    unanswered = is_unanswered(error)
    when = "was closed before any reply" if unanswered else "was cut before the reply was whole"
    message = f"{where}: the connection {when} ({said})"
    return RequestError(message, failure_class="connection_lost", retryable=True, connection=unanswered)


def _no_connection(error: Exception, said: str, where: str) -> RequestError:
    message, failure_class = f"{where}: cannot connect ({said})", "connect"
    if isinstance(error, httpx.ConnectTimeout):
        message = f"{where}: no connection in time (--connect-timeout)"
    elif isinstance(error, TlsError) or any(word in said.lower() for word in _TLS_WORDS):
        message, failure_class = f"{where}: no trusted TLS connection ({said})", "tls"
    elif any(words in said.lower() for words in _NO_SUCH_HOST):
        message = f"{where}: no such host ({said})"
    return RequestError(message, failure_class=failure_class, retryable=failure_class == "connect", connection=True)
