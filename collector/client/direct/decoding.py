"""Content-encodings undone, never beyond a cap: a small body may open to any size."""

from __future__ import annotations

import zlib

import httpx

__all__ = ["ACCEPTED", "decode"]

ACCEPTED = "gzip, deflate"
"""What `decode` understands, as accept-encoding says it."""
_GZIP = 16 + zlib.MAX_WBITS


def decode(body: bytes, encoding: str, cap: int, *, whole: bool = True) -> tuple[bytes, bool]:
    """(the decoded body, True), or (its first `cap` bytes, False) where it is larger. `whole` is False for a body that
    was itself cut off at a cap: its beginning is decoded. Raises httpx.DecodingError for what is not so encoded."""
    for step in reversed([name.strip() for name in encoding.split(",")]):
        if step in ("", "identity"):
            continue
        if step not in ("gzip", "x-gzip", "deflate"):
            raise httpx.DecodingError(f"an unknown content-encoding, {step[:40]!r}")
        try:
            body, fits = _inflate(body, step, cap, whole)
        except zlib.error as error:
            raise httpx.DecodingError(f"the body is no {step}: {error}") from None
        whole = whole and fits
    return body, whole


def _inflate(body: bytes, encoding: str, cap: int, whole: bool) -> tuple[bytes, bool]:
    parts: list[bytes] = []
    room = cap
    rest = body
    while rest:
        inflater = zlib.decompressobj(_window(rest, encoding))
        part = inflater.decompress(rest, room + 1)
        parts.append(part[:room])
        if len(part) > room:
            return b"".join(parts), False
        if not inflater.eof:
            if whole:
                raise zlib.error("it ends too early")
            break
        room -= len(part)
        rest = inflater.unused_data if encoding != "deflate" else b""  # gzip may come in several members
    return b"".join(parts), True


def _window(body: bytes, encoding: str) -> int:
    """How zlib is to read `body`. "deflate" means zlib's format, and bare deflate where servers got that wrong."""
    if encoding != "deflate":
        return _GZIP
    is_zlib = len(body) > 1 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
    return zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS
