"""DirectTransport: connections reused and let go, addresses tried in turn, heads that nothing is smuggled into."""

from __future__ import annotations

import asyncio
import gc
import socket
import tracemalloc
from typing import Any

import httpx
import orjson
import pytest

from collector.client.direct import DirectTransport
from collector.client.direct import pool as pool_room
from collector.client.direct.head import Origin, encode_head, origin_of
from collector.client.wire import CutError, NoHttpError, TooLargeError
from tests import faulty_server as fs
from tests.faulty_server import FaultyServer

BODY = b'{"messages":[]}'
HEADERS = [(b"content-type", b"application/json")]


def transport(**changes: Any) -> DirectTransport:
    given: dict[str, Any] = {"connect": 1.0, "total": 5.0, "max_bytes": 2**20, **changes}
    return DirectTransport(**given)


async def post(direct: DirectTransport, url: str, body: bytes = BODY, seconds: float = 5.0) -> bytes:
    """One request by the short way."""
    reply = await direct.exchange(direct.prepare("POST", httpx.URL(url + "/x"), HEADERS), body, seconds)
    return reply.body


async def test_it_is_a_transport_of_httpx() -> None:
    """httpx's own client can use it: its redirects, cookies and errors work as with any other."""
    behaviours = (
        fs.redirect("/there", 303),
        fs.reply(200, fs.chat_body(), Set_Cookie="a=b", Content_Encoding="identity"),
        fs.gzipped({"a": 1}),
        fs.reply(500, b"x" * 10**6),
        fs.oversized(10**9),
    )
    async with FaultyServer(*behaviours) as server, httpx.AsyncClient(transport=transport()) as client:
        response = await client.post(server.url, json={}, follow_redirects=True)
        assert (response.json(), client.cookies["a"]) == (fs.chat_body(), "b")
        assert (await client.get(server.url + "/q?a=b")).json() == {"a": 1}
        assert (await client.get(server.url)).status_code == 500
        with pytest.raises(TooLargeError, match="larger than 1048576 bytes"):
            await client.get(server.url)
        with pytest.raises(httpx.UnsupportedProtocol):
            await client.get("ftp://127.0.0.1/")
    heard = [(request.method, request.path, request.headers.get("cookie")) for request in server.requests]
    assert heard[:3] == [("POST", "/", None), ("GET", "/there", None), ("GET", "/q?a=b", "a=b")]
    assert server.requests[0].headers["accept-encoding"] == "gzip, deflate"


async def test_the_connection_used_last_is_used_next_and_old_ones_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three at once open three; one after another then keeps to one, and the server sees the others close."""
    monkeypatch.setattr(pool_room, "IDLE_SECONDS", 0.1)
    three = asyncio.Barrier(3)
    left: asyncio.Queue[int] = asyncio.Queue()

    async def together(exchange: fs.Exchange) -> None:
        await three.wait()
        await fs.chat()(exchange)

    async def last(exchange: fs.Exchange) -> None:
        await fs.chat()(exchange)
        await exchange.client_left()
        left.put_nowait(exchange.connection)
        exchange.close()

    async with FaultyServer(together, together, together, fs.chat(), fs.chat(), last) as server, transport() as direct:
        await asyncio.gather(*(post(direct, server.url) for _ in range(3)))
        for _ in range(3):
            await post(direct, server.url)
        assert server.connections == 3
        assert len({request.connection for request in server.requests[3:]}) == 1
        async with asyncio.timeout(10):
            assert await left.get() == server.requests[-1].connection
        await post(direct, server.url)
        assert server.connections == 4


async def test_what_a_server_says_unasked_ends_the_connection() -> None:
    """Bytes between two requests belong to none: the next request has a new connection."""

    async def and_more(exchange: fs.Exchange) -> None:
        await fs.chat("first")(exchange)
        await exchange.writer.drain()
        told.set()
        await go_on.wait()
        exchange.send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        await exchange.client_left()
        gone.set()

    told, go_on, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()
    async with FaultyServer(and_more, fs.chat("second")) as server, transport() as direct:
        await post(direct, server.url)
        go_on.set()
        async with asyncio.timeout(10):
            await gone.wait()
        assert orjson.loads(await post(direct, server.url)) == fs.chat_body("second")
        assert (server.connections, direct.stale_retries) == (2, 0)


async def test_only_a_reused_connection_without_a_byte_is_stale() -> None:
    """A byte of the reply, or a new connection: then the server had the request, and it is not sent again."""
    one_byte = fs.then_close(fs.raw(b"H"))
    behaviours = fs.chat(), one_byte, fs.chat(), fs.reset_before_reply, fs.chat(), fs.reset_before_reply
    async with FaultyServer(*behaviours) as server, transport() as direct:
        await post(direct, server.url)
        with pytest.raises(CutError) as caught:
            await post(direct, server.url)
        assert (caught.value.answered, direct.stale_retries) == (True, 0)
        await post(direct, server.url)
        await post(direct, server.url)
        assert direct.stale_retries == 1
        with pytest.raises(CutError) as caught:
            await post(direct, server.url)
        assert (caught.value.answered, direct.stale_retries, len(server.requests)) == (False, 2, 7)


async def test_an_answer_before_the_whole_request_ends_the_connection() -> None:
    """413 to a body of 20 MB that the server never reads: the reply counts, the connection is not used again."""
    async with FaultyServer(fs.chat()) as server, transport() as direct:
        server.on_head = b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n"
        target = direct.prepare("POST", httpx.URL(server.url), HEADERS)
        for number in range(2):
            assert (await direct.exchange(target, b"x" * 20_000_000, 5.0)).status == 413
            assert server.connections == number + 1


async def test_a_large_request_is_sent_whole() -> None:
    """10 MB of prompt."""
    body = b'"' + b"x" * 10_000_000 + b'"'
    async with FaultyServer(fs.chat()) as server, transport(total=30) as direct:
        await post(direct, server.url, body, seconds=30)
    assert server.requests[0].body == body


async def test_a_cancelled_connect_leaves_nothing_behind() -> None:
    """While TLS is being set up with a server that says nothing: it sees the connection close."""
    async with FaultyServer(fs.chat()) as server, transport(connect=600) as direct:
        sending = asyncio.create_task(post(direct, f"https://127.0.0.1:{server.port}", seconds=600))
        await server.met.wait()
        sending.cancel()
        async with asyncio.timeout(10):
            await server.left.wait()
        with pytest.raises(asyncio.CancelledError):
            await sending


async def test_closing_ends_requests_that_are_out() -> None:
    """Nobody is left waiting for a transport that is closed."""
    async with FaultyServer(fs.never_answers) as server:
        direct = transport()
        sending = asyncio.create_task(post(direct, server.url, seconds=600))
        await server.heard.wait()
        await direct.aclose()
        with pytest.raises(CutError):
            await sending


async def test_a_host_is_looked_up_once_and_its_addresses_tried_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred connections at once ask one question; an address that refuses is passed over, and last from then on."""
    questions: list[str] = []

    async def look_up(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        questions.append(host)
        found = [(socket.AF_INET6, "::1"), (socket.AF_INET, "127.0.0.2"), (socket.AF_INET, "127.0.0.1")]
        return [(family, socket.SOCK_STREAM, 6, "", (address, port)) for family, address in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    async with FaultyServer(fs.chat()) as server, transport() as direct:
        url = f"http://model.example:{server.port}"
        replies = await asyncio.gather(*(post(direct, url) for _ in range(100)))
    assert [orjson.loads(reply) for reply in replies] == [fs.chat_body()] * 100
    assert questions == ["model.example"]
    assert server.requests[0].headers["host"] == f"model.example:{server.port}"


async def test_a_failed_lookup_is_told_to_all_and_asked_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that was away for a moment costs that moment only."""
    answers: list[Exception | str] = [socket.gaierror(-3, "Temporary failure in name resolution"), "127.0.0.1"]

    async def look_up(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answer, port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    async with FaultyServer(fs.chat()) as server, transport() as direct:
        url = f"http://model.example:{server.port}"
        faults = await asyncio.gather(*(post(direct, url) for _ in range(3)), return_exceptions=True)
        assert [str(fault) for fault in faults] == ["Temporary failure in name resolution"] * 3
        assert orjson.loads(await post(direct, url)) == fs.chat_body()


def test_it_works_on_uvloop() -> None:
    """The loop that runs use where it is installed: reuse, a cut, a timeout, a cancellation."""
    uvloop = pytest.importorskip("uvloop")

    async def scenario() -> None:
        behaviours = fs.chat(), fs.chat(), fs.reset_mid_body, fs.garbage, fs.never_answers, fs.never_answers, fs.chat()
        async with FaultyServer(*behaviours) as server, transport() as direct:
            await post(direct, server.url)
            await post(direct, server.url)
            assert server.connections == 1
            with pytest.raises(CutError):
                await post(direct, server.url)
            with pytest.raises(NoHttpError):
                await post(direct, server.url)
            with pytest.raises(httpx.ReadTimeout):
                await post(direct, server.url, seconds=0.1)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await post(direct, server.url)
            assert orjson.loads(await post(direct, server.url)) == fs.chat_body()
        with pytest.raises(httpx.ConnectError, match="Connection refused"):
            await post(transport(), server.url)

    uvloop.run(scenario())


def test_the_head_of_a_request() -> None:
    """Ours are the headers of the connection; the caller's are kept, the host's own name too when given."""
    url = httpx.URL("http://model.example:8000/v1/x%20y?a=b")
    given = [(b"Accept-Encoding", b"br"), (b"Connection", b"close"), (b"Content-Length", b"9"), (b"X-A", b"b c")]
    assert encode_head("POST", url, given, compressed=False) == (
        b"POST /v1/x%20y?a=b HTTP/1.1\r\nhost: model.example:8000\r\nx-a: b c\r\naccept-encoding: identity\r\n"
    )
    assert b"host: other\r\n" in encode_head("GET", url, [(b"host", b"other")], compressed=True)


def test_a_user_in_the_url_becomes_a_header_unless_there_is_one() -> None:
    """As httpx and pyreqwest do it."""
    url = httpx.URL("http://me:p%40ss@model.example/")
    assert b"authorization: Basic bWU6cEBzcw==\r\n" in encode_head("GET", url, [], compressed=False)
    assert b"Basic" not in encode_head("GET", url, [(b"Authorization", b"Bearer x")], compressed=False)


@pytest.mark.parametrize(
    "header", [(b"x", b"a\r\nb: c"), (b"x", b"a\nb"), (b"x\r\ny", b"a"), (b"x y", b""), (b"", b"")]
)
def test_nothing_is_smuggled_into_a_head(header: tuple[bytes, bytes]) -> None:
    """A line break in a value or a name would begin another header, or another request."""
    with pytest.raises(httpx.LocalProtocolError, match="header that HTTP cannot carry"):
        encode_head("GET", httpx.URL("http://a/"), [header], compressed=False)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://model.example", Origin(False, "model.example", 80)),
        ("https://model.example/v1", Origin(True, "model.example", 443)),
        ("https://[::1]:8443/", Origin(True, "::1", 8443)),
        ("http://bücher.example/", Origin(False, "xn--bcher-kva.example", 80)),
    ],
)
def test_where_a_url_leads(url: str, origin: Origin) -> None:
    """Ports by scheme, addresses without brackets, names as DNS spells them."""
    assert origin_of(httpx.URL(url)) == origin


@pytest.mark.parametrize("closes", [False, True])
async def test_connections_hold_no_reply_that_was_taken(closes: bool) -> None:
    """Neither while they idle, nor when they are closed and wait for the collector of cycles to find them."""
    big = fs.reply(200, b"x" * 3_000_000, **({"Connection": "close"} if closes else {}))

    async def size() -> int:
        return len(await post(direct, server.url))

    async with FaultyServer(big) as server:
        direct = transport(max_bytes=10**7)
        gc.disable()
        tracemalloc.start()
        try:
            sizes = await asyncio.gather(*[size() for _ in range(8)])
            held = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
            gc.enable()
        await direct.aclose()
    assert sizes == [3_000_000] * 8
    assert held < 12_000_000
