"""The first lines of a request, and where it goes. Nothing can be smuggled into them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import NamedTuple

import httpx

from collector.client.direct.decoding import ACCEPTED

__all__ = ["Origin", "encode_head", "origin_of"]

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LINE_BREAKS = re.compile(rb"[\r\n\0]")
_OURS = frozenset({b"accept-encoding", b"connection", b"content-length", b"keep-alive", b"transfer-encoding", b"te"})
"""Headers that describe the connection or the framing: the transport's own matter."""


class Origin(NamedTuple):
    """Where connections go, and whom TLS must meet there. `host` is ASCII, an IPv6 address without brackets."""

    tls: bool
    host: str
    port: int


def origin_of(url: httpx.URL) -> Origin:
    """The origin of an absolute URL. Raises httpx.UnsupportedProtocol for what is no http URL."""
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise httpx.UnsupportedProtocol(f"{url.scheme or 'no'} scheme: give a URL with http:// or https://")
    tls = url.scheme == "https"
    return Origin(tls, url.raw_host.decode("ascii"), url.port or (443 if tls else 80))


def encode_head(method: str, url: httpx.URL, headers: Iterable[tuple[bytes, bytes]], *, compressed: bool) -> bytes:
    """Request line and headers, without content-length and the empty line. `compressed`: ask for compressed replies.

    A user and password in the URL become the Authorization header, unless there is one. Raises
    httpx.LocalProtocolError for a header that HTTP cannot carry.
    """
    given = [(name.lower(), value) for name, value in headers if name.lower() not in _OURS]
    names = {name for name, _ in given}
    if b"host" not in names:
        given.insert(0, (b"host", url.netloc))
    if b"authorization" not in names and (url.username or url.password):
        pair = f"{url.username}:{url.password}".encode()
        given.append((b"authorization", b"Basic " + base64.b64encode(pair)))
    given.append((b"accept-encoding", ACCEPTED.encode() if compressed else b"identity"))
    for name, value in given:
        if not _TOKEN.fullmatch(name) or _LINE_BREAKS.search(value):
            raise httpx.LocalProtocolError(f"a header that HTTP cannot carry: {name[:40]!r}")
    lines = b"".join(b"%b: %b\r\n" % header for header in given)
    return b"%b %b HTTP/1.1\r\n%b" % (method.encode("ascii"), url.raw_path, lines)
