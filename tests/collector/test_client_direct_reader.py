"""The reader of replies: however the bytes were cut, the reply is the same; no bytes at all can break it."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.client.direct.decoding import decode
from collector.client.direct.reader import MAX_HEAD_BYTES, ReplyReader
from collector.client.wire import NoHttpError, WireReply

CAP = 2**20


def read(pieces: list[bytes], cap: int = CAP) -> WireReply | None:
    """The reply in these pieces, then the end of the connection; None when it is torn."""
    reader = ReplyReader()
    reader.expect(cap, cap)
    if any(reader.feed(piece) for piece in pieces) or reader.end():
        return reader.reply()
    return None


def by_length(body: bytes, headers: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (headers, len(body), body)


def in_chunks(body: bytes, headers: bytes) -> bytes:
    pieces = b"".join(
        b"%x;a=b\r\n%b\r\n" % (len(body[at : at + 7]), body[at : at + 7]) for at in range(0, len(body), 7)
    )
    return b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n%b0\r\nTrailer: x\r\n\r\n" % (headers, pieces)


def until_close(body: bytes, headers: bytes) -> bytes:
    return b"HTTP/1.0 200 OK\r\n%b\r\n%b" % (headers, body)


@given(
    st.sampled_from([by_length, in_chunks, until_close]),
    st.binary(max_size=200),
    st.booleans(),
    st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * 2]),
    st.data(),
)
def test_any_cutting_of_the_bytes_gives_the_same_reply(
    framing: Callable[[bytes, bytes], bytes], body: bytes, packed: bool, interim: bytes, data: st.DataObject
) -> None:
    """Every framing, compressed or not, with and without interim replies, cut anywhere."""
    headers = b"X-A: b\r\n" + (b"Content-Encoding: gzip\r\n" if packed else b"")
    wire = interim + framing(gzip.compress(body) if packed else body, headers)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=12)))
    pieces = [wire[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    reply = read(pieces)
    assert reply is not None
    assert reply == read([wire])
    assert (reply.status, reply.body, reply.whole) == (200, body, True)
    assert (b"x-a", b"b") in reply.headers
    assert all(name != b"link" for name, _ in reply.headers)


@given(st.sampled_from([by_length, in_chunks]), st.binary(min_size=1, max_size=60), st.data())
def test_a_torn_reply_is_no_reply(framing: Callable[[bytes, bytes], bytes], body: bytes, data: st.DataObject) -> None:
    """Cut off anywhere before its end, a framed reply is never taken for whole."""
    wire = framing(body, b"")
    assert read([wire[: data.draw(st.integers(0, len(wire) - 1))]]) is None


@given(st.lists(st.binary(max_size=80), max_size=6), st.booleans())
def test_no_bytes_raise_anything_but_what_is_promised(pieces: list[bytes], headed: bool) -> None:
    """Noise, and noise behind a right beginning."""
    try:
        read([b"HTTP/1.1 200 OK\r\n" if headed else b"", *pieces])
    except (NoHttpError, httpx.DecodingError):
        pass


@pytest.mark.parametrize("framing", [by_length, in_chunks, until_close])
@pytest.mark.parametrize("packed", [False, True])
def test_a_body_above_the_cap_is_cut_there(framing: Callable[[bytes, bytes], bytes], packed: bool) -> None:
    """To the byte: at the cap it is whole, one above it is not; packed bodies count as they open."""
    for size, whole in ((100, True), (101, False)):
        body = b"x" * size
        headers = b"Content-Encoding: gzip\r\n" if packed else b""
        reply = read([framing(gzip.compress(body) if packed else body, headers)], cap=100)
        assert reply is not None
        assert reply.whole is whole
        assert reply.body == (body[:100] if whole or packed or framing is not by_length else b"")


def test_tiny_chunks_take_no_more_memory_than_their_body() -> None:
    """A hostile server could send chunks of two bytes: each kept as an object of its own would be thirty times that."""
    reader = ReplyReader()
    reader.expect(CAP, CAP)
    reader.feed(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    tracemalloc.start()
    for _ in range(200):
        reader.feed(b"2\r\nab\r\n" * 1000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert reader.feed(b"0\r\n\r\n")
    assert reader.reply().body == b"ab" * 200_000
    assert peak < 3 * 400_000


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * MAX_HEAD_BYTES + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * MAX_HEAD_BYTES,
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * MAX_HEAD_BYTES,
        in_chunks(b"abc", b"")[:-2] + b"x: " + b"y" * 2 * MAX_HEAD_BYTES,
        in_chunks(b"abc", b"")[:-16] + b"1;" + b"y" * 2 * MAX_HEAD_BYTES,
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
def test_what_is_no_reply_is_said_to_be_none(wire: bytes) -> None:
    """Heads and trailers without end, two lengths, other protocols."""
    with pytest.raises(NoHttpError):
        read([wire[at : at + 4096] for at in range(0, len(wire), 4096)])


def test_a_reply_with_no_body_ends_with_its_head() -> None:
    """204 and 304 whatever their headers say, and the reply to HEAD."""
    for status in (204, 304):
        reply = read([b"HTTP/1.1 %d X\r\ncontent-length: 9\r\n\r\n" % status])
        assert reply is not None
        assert (reply.status, reply.body) == (status, b"")
    reader = ReplyReader()
    reader.expect(CAP, CAP, bodiless=True)
    assert reader.feed(by_length(b"", b"").replace(b": 0", b": 9"))
    assert not reader.reusable


@pytest.mark.parametrize(
    ("wire", "reusable"),
    [
        (by_length(b"abc", b""), True),
        (in_chunks(b"abc", b""), True),
        (by_length(b"abc", b"Connection: close\r\n"), False),
        (by_length(b"abc", b"") + b"HTTP/1.1 200 OK\r\n", False),
        (by_length(b"abc", b"") + b"noise", False),
        (until_close(b"abc", b""), False),
        (by_length(b"abc", b"").replace(b"1.1", b"1.0"), False),
    ],
)
def test_what_may_follow_on_a_connection(wire: bytes, reusable: bool) -> None:
    """Nothing after "close", after HTTP/1.0, or behind bytes that nobody asked for."""
    reader = ReplyReader()
    reader.expect(CAP, CAP)
    assert reader.feed(wire) or reader.end()
    assert (reader.reply().body, reader.reusable) == (b"abc", reusable)


def test_one_reader_reads_reply_after_reply() -> None:
    """Nothing of the last reply is left in the next."""
    reader = ReplyReader()
    for number in range(3):
        reader.expect(CAP, CAP)
        body = b"%d" % number
        assert reader.feed(by_length(body, b"X-Number: %d\r\n" % number))
        reply = reader.reply()
        assert (reply.body, len(reply.headers), reader.reusable) == (body, 2, True)


RAW_DEFLATE = zlib.compress(b"hello", wbits=-15)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (b"hello", "identity"),
        (gzip.compress(b"hello"), "gzip"),
        (gzip.compress(b"hel") + gzip.compress(b"lo"), "x-gzip"),
        (zlib.compress(b"hello"), "deflate"),
        (RAW_DEFLATE, "deflate"),
        (gzip.compress(zlib.compress(b"hello")), "deflate, gzip"),
        (b"", "gzip"),
    ],
)
def test_encodings_are_undone(body: bytes, encoding: str) -> None:
    """Each that we ask for, twice over, in members, and deflate as some servers get it wrong."""
    assert decode(body, encoding, 100) == (b"hello" if body else b"", True)


@pytest.mark.parametrize(
    ("body", "encoding", "message"),
    [
        (gzip.compress(b"hello")[:-5], "gzip", "ends too early"),
        (b"hello", "gzip", "no gzip"),
        (gzip.compress(b"hello") + b"noise", "gzip", "no gzip"),
        (b"hello", "br", "unknown content-encoding, 'br'"),
    ],
)
def test_what_does_not_decode_is_said(body: bytes, encoding: str, message: str) -> None:
    """Torn, of another kind, or of one that was not asked for."""
    with pytest.raises(httpx.DecodingError, match=message):
        decode(body, encoding, 100)


def test_the_beginning_of_a_body_that_was_cut_off_is_decoded() -> None:
    """An error page above its cap still says what is wrong."""
    packed = gzip.compress(bytes(range(256)) * 4)
    body, whole = decode(packed[:-20], "gzip", 2000, whole=False)
    assert bytes(range(200)) in body
    assert not whole
