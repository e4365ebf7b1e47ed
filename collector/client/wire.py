"""What passes between the client and its transports: WireReply, and the faults that httpx has no exception for.

Every exception here is one of httpx's too, so that code which knows httpx alone handles them. `faults` maps them.

httpx.ConnectError
└── TlsError            a connection, but no TLS that can be trusted
httpx.RemoteProtocolError
├── NoHttpError         bytes that are no HTTP, or a head above its cap
├── CutError            closed before the reply was whole; `answered` says whether a byte of it had come
└── TooLargeError       a reply above the transport's cap
"""

from __future__ import annotations

from typing import NamedTuple

import httpx

__all__ = ["CutError", "NoHttpError", "RawHeaders", "TlsError", "TooLargeError", "WireReply"]

RawHeaders = list[tuple[bytes, bytes]]
"""Header names, in lower case, and values, as they came."""


class WireReply(NamedTuple):
    """One reply. `body` is decoded (no content-encoding is left); where it exceeds its cap, `whole` is False and
    `body` is its beginning."""

    status: int
    headers: RawHeaders
    body: bytes
    whole: bool


class TlsError(httpx.ConnectError):
    """The other side is not who the URL names, or speaks no TLS."""


class NoHttpError(httpx.RemoteProtocolError):
    """The reply's bytes cannot be read as HTTP/1.1."""


class CutError(httpx.RemoteProtocolError):
    """The connection ended too early."""

    def __init__(self, message: str, *, answered: bool) -> None:
        super().__init__(message)
        self.answered = answered


class TooLargeError(httpx.RemoteProtocolError):
    """The reply was not read to its end."""
