"""Every fault of a network over both transports: straight to the server, and through a proxy of the environment."""

from __future__ import annotations

import asyncio
import email.utils
import resource
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import orjson
import pytest

from collector.client import ModelClient
from collector.errors import RequestError
from collector.settings import CollectSettings, Timeouts
from tests import faulty_server as fs
from tests.faulty_server import Behaviour, FaultyServer

CANARY = "sk-canary-1f9d"
BODY = b'{"messages":[]}'
Way = Literal["direct", "proxied"]


@pytest.fixture(params=["direct", "proxied"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Way:
    for name in ("no_proxy", "NO_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    chosen: Way = request.param
    return chosen


@asynccontextmanager
async def client_to(
    server: FaultyServer, way: Way, monkeypatch: pytest.MonkeyPatch, *, seconds: float = 5.0, **changes: Any
) -> AsyncIterator[ModelClient]:
    """A client of `server`; by the proxied way, the server itself is the proxy, and hears whole URLs."""
    url = server.url + "/v1"
    if way == "proxied":
        monkeypatch.setenv("http_proxy", server.url)
        url = "http://model.invalid/v1"
    timeouts = Timeouts(connect=1.0, total=seconds)
    given: dict[str, Any] = {"base_url": url, "api_key": CANARY, "timeouts": timeouts, **changes}
    async with ModelClient(CollectSettings(input=Path("in"), output=Path("out"), **given)) as client:
        yield client


async def fault_of(behaviour: Behaviour, way: Way, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> RequestError:
    async with FaultyServer(behaviour) as server, client_to(server, way, monkeypatch, **changes) as client:
        with pytest.raises(RequestError) as caught:
            await client.send("/chat/completions", BODY)
    assert CANARY not in str(caught.value)
    assert str(caught.value).isprintable()
    return caught.value


async def test_the_request_goes_the_way_that_the_environment_says(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy hears the whole URL, a server its path; both the same body, key and headers."""
    async with FaultyServer(fs.chat()) as server, client_to(server, way, monkeypatch) as client:
        assert orjson.loads(await client.send("/chat/completions", BODY)) == fs.chat_body()
    (heard,) = server.requests
    assert heard.path == {"direct": "", "proxied": "http://model.invalid"}[way] + "/v1/chat/completions"
    assert (heard.body, heard.headers["authorization"]) == (BODY, f"Bearer {CANARY}")


@pytest.mark.parametrize(
    ("behaviour", "failure_class", "retryable", "connection"),
    [
        (fs.reset_before_reply, "connection_lost", True, True),
        (fs.reset_mid_body, "connection_lost", True, False),
        (fs.truncated_chunks, "connection_lost", True, False),
        (fs.never_answers, "timeout", True, False),
        (fs.slow_head, "timeout", True, False),
        (fs.slow_body, "timeout", True, False),
        (fs.garbage, "bad_http", True, False),
        (fs.raw(b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n"), "bad_http", True, False),
        (fs.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"), "bad_http", True, False),
        (fs.reply(200, b"no gzip", Content_Encoding="gzip"), "bad_http", True, False),
        (fs.oversized(10**9), "too_large", False, False),
        (fs.unlimited_body, "too_large", False, False),
        (fs.gzip_bomb(64), "too_large", False, False),
        (fs.reply(400, {"error": {"message": "bad"}}), "http_400", False, False),
        (fs.reply(404), "http_404", False, False),
        (fs.reply(408), "http_408", True, False),
        (fs.reply(422, {"detail": [{"msg": "extra"}]}), "http_422", False, False),
        (fs.reply(425), "http_425", True, False),
        (fs.reply(429), "http_429", True, False),
        (fs.reply(500, b"<html><title>Oops</title></html>"), "http_500", True, False),
        (fs.reply(500, b"x" * 10**7), "http_500", True, False),
        (fs.reply(501), "http_501", False, False),
        (fs.reply(502), "http_502", True, False),
        (fs.reply(503), "http_503", True, False),
        (fs.reply(504), "http_504", True, False),
        (fs.reply(529), "http_529", True, False),
        (fs.redirect("http://elsewhere.invalid/v1"), "http_307", False, False),
    ],
)
async def test_each_fault_has_its_class(
    behaviour: Behaviour,
    failure_class: str,
    retryable: bool,
    connection: bool,
    way: Way,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Faults are data: a class to count, whether to try again, and whether the endpoint was reached at all."""
    error = await fault_of(behaviour, way, monkeypatch, seconds=0.5, max_reply_bytes=2**20)
    assert (error.failure_class, error.retryable, error.connection) == (failure_class, retryable, connection)


@pytest.mark.parametrize("behaviour", [fs.unlimited_body, fs.gzip_bomb(512), fs.endless_head])
async def test_memory_does_not_follow_a_reply_without_end(
    behaviour: Behaviour, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body or a head that never ends, and half a gigabyte in 512 KB: reading stops at the cap."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = await fault_of(behaviour, way, monkeypatch, max_reply_bytes=2**20)
    assert error.failure_class in ("too_large", "bad_http")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


@pytest.mark.parametrize(
    "behaviour",
    [
        fs.chat(),
        fs.gzipped(fs.chat_body()),
        fs.then_close(fs.raw(b"HTTP/1.1 200 OK\r\n\r\n", orjson.dumps(fs.chat_body()))),
        fs.then_close(fs.raw(b"HTTP/1.0 200 OK\r\n\r\n", orjson.dumps(fs.chat_body()))),
        fs.raw(
            b"HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n",
            b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{"a',
            b'\r\n3;x=y\r\n":1\r\n1\r\n}\r\n0\r\nlater: z\r\n\r\n',
        ),
    ],
)
async def test_bodies_of_every_framing_are_read(
    behaviour: Behaviour, way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By length, in chunks, until the end of the connection, compressed, after an interim reply."""
    async with FaultyServer(behaviour) as server, client_to(server, way, monkeypatch) as client:
        assert orjson.loads(await client.send("/x", BODY)) in (fs.chat_body(), {"a": 1})


@pytest.mark.parametrize("text", [b"<html>", b'{"choices": [{"mess', b"", b'{"choices": []}'])
async def test_what_a_200_means_is_the_protocols_matter(text: bytes, way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """HTML, torn JSON, nothing, and no choices come back as they are; they are judged where a reply is parsed."""
    async with FaultyServer(fs.reply(200, text)) as server, client_to(server, way, monkeypatch) as client:
        assert await client.send("/x", BODY) == text


async def test_stale_connections_cost_no_attempt(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server closes each connection after its reply without saying so; every request gets its answer, once."""
    async with FaultyServer(fs.then_close(fs.chat())) as server, client_to(server, way, monkeypatch) as client:
        for _ in range(30):
            await client.send("/x", BODY)
    assert len(server.requests) == 30


async def test_retry_after_comes_with_the_fault(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a number, as a date, absurd, and unreadable."""
    assert (await fault_of(fs.reply(429, Retry_After="7"), way, monkeypatch)).retry_after == 7.0
    assert (await fault_of(fs.reply(429, Retry_After="99999999"), way, monkeypatch)).retry_after == 99999999.0
    assert (await fault_of(fs.reply(503, Retry_After="soon"), way, monkeypatch)).retry_after is None
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    asked = (await fault_of(fs.reply(503, Retry_After=date), way, monkeypatch)).retry_after
    assert asked is not None
    assert 50 < asked <= 100


async def test_a_redirect_is_not_followed(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """A redirect could carry the key to another host: it is named and no one goes there."""
    async with FaultyServer(fs.chat()) as other:
        error = await fault_of(fs.redirect(f"http://user:pw@127.0.0.1:{other.port}/v1"), way, monkeypatch)
    assert str(error).endswith(f"HTTP 307, a redirect to 127.0.0.1:{other.port}; redirects are not followed")
    assert not other.requests


async def test_the_timeout_closes_the_connection(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server must see that nobody waits any more, or it goes on generating."""
    left = asyncio.Event()

    async def until_left(exchange: fs.Exchange) -> None:
        await exchange.client_left()
        left.set()

    async with FaultyServer(until_left) as server, client_to(server, way, monkeypatch, seconds=0.2) as client:
        with pytest.raises(RequestError, match=r"no whole reply within 0\.2 s \(--request-timeout\)"):
            await client.send("/x", BODY)
        async with asyncio.timeout(10):
            await left.wait()


async def test_a_cancelled_send_leaves_the_client_usable(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancellation is the caller's, never a fault of the server."""
    async with FaultyServer(fs.never_answers, fs.chat()) as server, client_to(server, way, monkeypatch) as client:
        sending = asyncio.create_task(client.send("/x", BODY))
        await server.heard.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert orjson.loads(await client.send("/x", BODY)) == fs.chat_body()
