"""Bytes of HTTP/1.1 replies -> WireReply. No I/O and no clock: how the bytes were cut on their way changes nothing.

Bodies by content-length, in chunks, and until the connection closes; interim replies (1xx) are skipped. A body is kept
up to its cap and no byte further. httptools (llhttp, Node's parser) reads the grammar, strictly.
"""

from __future__ import annotations

import httptools

from collector.client.direct.decoding import decode
from collector.client.wire import NoHttpError, RawHeaders, WireReply

__all__ = ["MAX_HEAD_BYTES", "ReplyReader"]

MAX_HEAD_BYTES = 64 * 2**10
"""Status line, headers and interim replies together, or trailers; servers themselves take 8 to 64 KiB."""
_MOST_CHUNKS = 256
"""Chunks of two bytes each would take thirty times their size, kept one by one."""
_LONG_HEAD = f"more than {MAX_HEAD_BYTES} bytes of headers"


class ReplyReader:
    """The replies of one connection, one after another: `expect`, then `feed` until it returns True, then `reply`."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.expect(0, 0)

    def expect(self, max_bytes: int, max_error_bytes: int, *, bodiless: bool = False) -> None:
        """A request is out. Its reply's body is kept up to `max_bytes` when its status is 2xx, else up to
        `max_error_bytes`. `bodiless`: it was HEAD, so that no body follows whatever the headers say."""
        self.reusable = False
        """Whether another request may follow on the connection; known when the reply is there."""
        self._caps = max_bytes, max_error_bytes
        self._bodiless = bodiless
        self._done = False
        self._whole = True
        self._size = 0
        self._head_size = 0
        self._idle_size = 0
        self._chunks: list[bytes] = []
        self._long = bytearray()
        """What stands before the chunks, once they were many."""
        self._begin()

    def feed(self, data: bytes) -> bool:
        """True when the reply is there. Raises NoHttpError."""
        size = self._size
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self._done:
                raise NoHttpError(_words(error)) from None
            self.reusable = False  # bytes beyond the reply: nothing on this connection can be trusted
        except httptools.HttpParserUpgrade:
            raise NoHttpError("the server wants to change the protocol") from None
        if not self._done:
            self._count_idle(len(data), self._size != size)
        return self._done

    def end(self) -> bool:
        """The connection is closed. True when that completes the reply: a body that lasts until then."""
        if self._in_body and not self._framed and not self._done:
            self._done = True
        return self._done

    def reply(self) -> WireReply:
        """The reply, decoded; to be taken once. Raises httpx.DecodingError."""
        chunks = self._chunks
        body = chunks[0] if len(chunks) == 1 and not self._long else b"".join((self._long, *chunks))
        whole = self._whole
        self.forget()
        if self._encoding:
            body, whole = decode(body, self._encoding, self._cap, whole=whole)
        return WireReply(self._status, self._headers, body, whole)

    def forget(self) -> None:
        """Lets go of the body: a connection that idles, or is closed and not yet collected, shall hold none."""
        self._chunks = []
        self._long = bytearray()

    # What httptools calls.

    def on_message_begin(self) -> None:
        if self._done:
            raise NoHttpError("a reply that nobody asked for")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_body:
            return  # a trailer
        name = name.lower()
        self._head_size += len(name) + len(value)
        if self._head_size > MAX_HEAD_BYTES:
            raise NoHttpError(_LONG_HEAD)
        if name == b"content-length":
            self._framed = True
            self._announced = int(value)
        elif name == b"transfer-encoding":
            self._framed = True
            if value.lower() != b"chunked":
                raise NoHttpError("a transfer-encoding other than chunked")
        elif name == b"content-encoding":
            self._encoding = value.decode("latin-1").lower()
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        if self._status < 200:
            return
        self._in_body = True
        self._cap = self._caps[0] if self._status < 300 else self._caps[1]
        if self._bodiless:
            self._done = True
        elif self._announced > self._cap and self._status < 300:
            self._stop()

    def on_body(self, data: bytes) -> None:
        if self._done:
            return
        self._size += len(data)
        if self._size > self._cap:
            data = data[: self._cap - self._size]
            self._stop()
        self._chunks.append(data)
        if len(self._chunks) == _MOST_CHUNKS:
            self._long += b"".join(self._chunks)
            self._chunks.clear()

    def on_message_complete(self) -> None:
        if self._status < 200:
            self._begin()
        elif not self._done:
            self._done = True
            self.reusable = self._parser.should_keep_alive()

    def _count_idle(self, fed: int, grew: bool) -> None:
        """Heads, trailers and chunk lines that go on and on bring the body no further, but fill the parser."""
        self._idle_size = 0 if grew else self._idle_size + fed
        if self._idle_size > MAX_HEAD_BYTES:
            raise NoHttpError(_LONG_HEAD)

    def _begin(self) -> None:
        self._headers: RawHeaders = []
        self._encoding = ""
        self._framed = False
        self._announced = 0
        self._in_body = False
        self._status = 0

    def _stop(self) -> None:
        self._done = True
        self._whole = False


def _words(error: httptools.HttpParserError) -> str:
    """What is wrong with the bytes: our own reason where a callback raised it, else the parser's."""
    if isinstance(error.__context__, NoHttpError):
        return str(error.__context__)
    return str(error) or "not HTTP"
