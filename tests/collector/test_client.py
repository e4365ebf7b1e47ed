"""Every fault of a network, through a raw faulty server: each has its class, none leaks a key, none hangs."""

from __future__ import annotations

import asyncio
import email.utils
import resource
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from collector.client import ModelClient
from collector.errors import RequestError, UsageError
from collector.settings import CollectSettings, Timeouts
from tests import faulty_server as fs
from tests.faulty_server import Behaviour, FaultyServer

CANARY = "sk-canary-1f9d"
BODY = b'{"messages":[]}'


def settings(url: str = "http://127.0.0.1:8000/v1", *, seconds: float = 5.0, **changes: Any) -> CollectSettings:
    given = {
        "input": Path("in.jsonl"),
        "output": Path("out.jsonl"),
        "base_url": url,
        "api_key": CANARY,
        "timeouts": Timeouts(connect=1.0, total=seconds),
        **changes,
    }
    return CollectSettings(**given)


async def send(*behaviours: Behaviour, **changes: Any) -> bytes:
    """One request to a server that behaves so."""
    async with FaultyServer(*behaviours) as server, ModelClient(settings(server.url, **changes)) as client:
        return await client.send("/chat/completions", BODY)


async def fault_of(*behaviours: Behaviour, **changes: Any) -> RequestError:
    """What the client raises for it. No message may hold the key, a line break or a control character."""
    with pytest.raises(RequestError) as caught:
        await send(*behaviours, **changes)
    assert CANARY not in str(caught.value)
    assert str(caught.value).isprintable()
    return caught.value


async def test_a_request_carries_the_body_the_key_and_the_headers() -> None:
    """What goes over the wire, heard by the server; the settings' headers win over ours."""
    async with FaultyServer(fs.chat("hello")) as server:
        given = settings(server.url + "/v1/", headers={"X-Team": "a", "User-Agent": "mine"})
        async with ModelClient(given) as client:
            reply = await client.send("/chat/completions", BODY)
    assert orjson.loads(reply) == fs.chat_body("hello")
    (heard,) = server.requests
    assert (heard.method, heard.path, heard.body) == ("POST", "/v1/chat/completions", BODY)
    assert heard.headers["authorization"] == f"Bearer {CANARY}"
    assert (heard.headers["x-team"], heard.headers["user-agent"]) == ("a", "mine")
    assert heard.headers["content-type"] == "application/json"


async def test_connections_are_reused_and_as_many_as_wanted() -> None:
    """One after another share one connection; 150 at once get 150, with no hidden ceiling at 100."""
    together = asyncio.Barrier(150)

    async def wait_for_all(exchange: fs.Exchange) -> None:
        async with asyncio.timeout(20):
            await together.wait()
        await fs.chat()(exchange)

    async with FaultyServer(fs.chat(), fs.chat(), wait_for_all) as server, ModelClient(settings(server.url)) as client:
        await client.send("/x", BODY)
        await client.send("/x", BODY)
        assert server.connections == 1
        await asyncio.gather(*(client.send("/x", BODY) for _ in range(150)))


@pytest.mark.parametrize(
    ("behaviour", "failure_class", "retryable", "connection"),
    [
        (fs.reset_before_reply, "connection_lost", True, True),
        (fs.reset_mid_body, "connection_lost", True, False),
        (fs.truncated_chunks, "connection_lost", True, False),
        (fs.never_answers, "timeout", True, False),
        (fs.slow_body, "timeout", True, False),
        (fs.garbage, "bad_http", True, False),
        (fs.reply(200, b"no gzip", Content_Encoding="gzip"), "bad_http", True, False),
        (fs.oversized(10**9), "too_large", False, False),
        (fs.unlimited_body, "too_large", False, False),
        (fs.reply(400, {"error": {"message": "bad"}}), "http_400", False, False),
        (fs.reply(404), "http_404", False, False),
        (fs.reply(408), "http_408", True, False),
        (fs.reply(422, {"detail": [{"msg": "extra"}]}), "http_422", False, False),
        (fs.reply(425), "http_425", True, False),
        (fs.reply(429), "http_429", True, False),
        (fs.reply(500, b"<html><title>Oops</title></html>"), "http_500", True, False),
        (fs.reply(501), "http_501", False, False),
        (fs.reply(502), "http_502", True, False),
        (fs.reply(503), "http_503", True, False),
        (fs.reply(504), "http_504", True, False),
        (fs.reply(529), "http_529", True, False),
    ],
)
async def test_each_fault_has_its_class(
    behaviour: Behaviour, failure_class: str, retryable: bool, connection: bool
) -> None:
    """Faults are data: a class to count, whether to try again, and whether the endpoint was reached at all."""
    error = await fault_of(behaviour, seconds=0.4, max_reply_bytes=2**20)
    assert (error.failure_class, error.retryable, error.connection) == (failure_class, retryable, connection)


async def test_nothing_listens() -> None:
    """A refused connection is the endpoint's fault, not the rollout's."""
    async with FaultyServer(fs.chat()) as server:
        url = server.url
    async with ModelClient(settings(url)) as client:
        with pytest.raises(RequestError, match=r"127\.0\.0\.1:\d+: cannot connect \(Connection refused") as caught:
            await client.send("/x", BODY)
    assert (caught.value.failure_class, caught.value.retryable, caught.value.connection) == ("connect", True, True)


async def test_no_such_host() -> None:
    """A name that resolves to nothing is said as such."""
    async with ModelClient(settings("http://no-such-host.invalid/v1")) as client:
        with pytest.raises(RequestError) as caught:
            await client.send("/x", BODY)
    assert (caught.value.failure_class, caught.value.connection) == ("connect", True)


async def test_a_gzip_bomb_is_not_opened() -> None:
    """256 MiB in 256 KB: reading stops at the cap, and memory does not follow the bomb."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    error = await fault_of(fs.gzip_bomb(256), max_reply_bytes=2**20)
    assert error.failure_class == "too_large"
    assert "larger than 1048576 bytes" in str(error)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


async def test_compressed_replies_are_read() -> None:
    """A proxy may compress; the row's reply is plain JSON all the same."""
    assert orjson.loads(await send(fs.gzipped(fs.chat_body("hello")))) == fs.chat_body("hello")


async def test_html_with_status_200_is_the_protocols_matter() -> None:
    """The client carries bytes; what they mean is judged where the reply is parsed."""
    assert await send(fs.reply(200, b"<html>", Content_Type="text/html")) == b"<html>"


async def test_a_stale_connection_costs_no_attempt() -> None:
    """The server closes each connection after its reply without saying so; every request gets its answer."""
    async with FaultyServer(fs.then_close(fs.chat())) as server, ModelClient(settings(server.url)) as client:
        for _ in range(30):
            await client.send("/x", BODY)
    assert len(server.requests) == 30


async def test_a_reused_connection_cut_without_a_byte_is_sent_again_at_once() -> None:
    """The race a client cannot win: the request is out when the close arrives. Once is free, for ever is not."""
    behaviours = fs.chat(), fs.reset_before_reply, fs.chat("again"), fs.reset_before_reply
    async with FaultyServer(*behaviours) as server, ModelClient(settings(server.url)) as client:
        await client.send("/x", BODY)
        assert orjson.loads(await client.send("/x", BODY)) == fs.chat_body("again")
        assert client.stale_retries == 1
        with pytest.raises(RequestError, match="closed before any reply"):
            await client.send("/x", BODY)
    assert len(server.requests) == 5


async def test_a_fresh_connection_cut_without_a_byte_is_an_attempt() -> None:
    """With no earlier answer nothing was reused: the server itself cut it."""
    async with FaultyServer(fs.reset_before_reply) as server, ModelClient(settings(server.url)) as client:
        with pytest.raises(RequestError, match="closed before any reply"):
            await client.send("/x", BODY)
    assert len(server.requests) == 1


async def test_the_timeout_closes_the_connection() -> None:
    """A server must see that nobody waits any more, or it goes on generating."""
    left = asyncio.Event()

    async def until_left(exchange: fs.Exchange) -> None:
        await exchange.client_left()
        left.set()

    async with FaultyServer(until_left) as server, ModelClient(settings(server.url, seconds=0.2)) as client:
        with pytest.raises(RequestError, match=r"no whole reply within 0\.2 s \(--request-timeout\)"):
            await client.send("/x", BODY)
        async with asyncio.timeout(10):
            await left.wait()


async def test_a_cancelled_send_raises_no_request_error_and_leaves_the_client_usable() -> None:
    """Cancellation is the caller's, never a fault of the server."""
    async with FaultyServer(fs.never_answers, fs.chat()) as server, ModelClient(settings(server.url)) as client:
        sending = asyncio.create_task(client.send("/x", BODY))
        await server.heard.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert orjson.loads(await client.send("/x", BODY)) == fs.chat_body()


async def test_retry_after_comes_with_the_fault() -> None:
    """As a number and as a date, over the wire."""
    assert (await fault_of(fs.reply(429, Retry_After="7"))).retry_after == 7.0
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    asked = (await fault_of(fs.reply(503, Retry_After=date))).retry_after
    assert asked is not None
    assert 50 < asked <= 100
    assert (await fault_of(fs.reply(503))).retry_after is None


async def test_a_redirect_names_its_host_and_is_not_followed() -> None:
    """A redirect could carry the key to another host."""
    async with FaultyServer(fs.chat()) as other:
        error = await fault_of(fs.redirect(f"http://user:pw@127.0.0.1:{other.port}/v1"))
    assert str(error).endswith(f"HTTP 307, a redirect to 127.0.0.1:{other.port}; redirects are not followed")
    assert not error.retryable
    assert not other.requests


async def test_the_servers_own_words_are_quoted_short_and_clean() -> None:
    """300 characters at most, without escapes: a server's text is hostile until it is plain."""
    error = await fault_of(fs.reply(400, {"error": {"message": "no\x1b[31m such\n model " + "x" * 5000}}))
    assert "HTTP 400: no such model xxx" in str(error)
    assert len(str(error)) < 400
    assert "Oops" in str(await fault_of(fs.reply(500, b"<html><style>p{}</style><b>Oops</b></html>")))


@pytest.mark.parametrize(
    "echo",
    [
        fs.reply(401, {"error": {"message": f"Incorrect key {CANARY}"}}),
        fs.reply(401, {"error": {"message": "x" * 290 + CANARY}}),
        fs.reply(500, f"<p>Authorization: Bearer {CANARY}</p>".encode()),
        fs.redirect(f"http://{CANARY}.example/"),
        fs.reply(429, {"detail": {CANARY: CANARY}}),
    ],
)
async def test_an_echoed_key_is_in_no_message(echo: Behaviour) -> None:
    """Servers do echo keys; also one that stands where the message is cut."""
    assert CANARY[:8] not in str(await fault_of(echo))


async def test_an_echoed_key_is_in_no_reply() -> None:
    """What a server sends back becomes a row: the key is taken out of it."""
    reply = await send(fs.chat(f"your key is {CANARY}"))
    assert orjson.loads(reply)["choices"][0]["message"]["content"] == "your key is [redacted]"


async def test_other_credentials_are_taken_out_too() -> None:
    """Keys come in other headers, and passwords in URLs."""
    async with FaultyServer(fs.reply(400, b'"got header-key and url-word"')) as server:
        url = server.url.replace("http://", "http://me:url-word@")
        async with ModelClient(settings(url, headers={"X-Api-Key": "header-key"})) as client:
            with pytest.raises(RequestError, match=r"got \[redacted\] and \[redacted\]") as caught:
                await client.send("/x", BODY)
    assert "me:" not in str(caught.value)


@pytest.mark.parametrize("key", ["two\nlines", "naïve", "bell\x07"])
def test_a_key_that_http_cannot_carry_is_refused_without_showing_it(key: str) -> None:
    """A key file with a line break in its middle: said at once, the key itself never."""
    with pytest.raises(UsageError, match="header authorization: its value holds a character") as caught:
        ModelClient(settings(api_key=key), httpx.MockTransport(lambda request: httpx.Response(200)))
    assert key not in str(caught.value)


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    """A server's TLS with a certificate that nobody vouches for."""
    certificate, key = str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate]
    try:
        subprocess.run([*command, "-subj", "/CN=localhost"], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def test_an_untrusted_certificate_is_refused(self_signed: ssl.SSLContext) -> None:
    """TLS is verified: the request never reaches a server that nobody vouches for."""
    async with FaultyServer(fs.chat(), tls=self_signed) as server:
        client = ModelClient(settings(f"https://localhost:{server.port}"))
        with pytest.raises(RequestError, match="no trusted TLS connection") as caught:
            async with client:
                await client.send("/x", BODY)
    assert (caught.value.failure_class, caught.value.retryable) == ("tls", False)
    assert not server.requests


async def test_proxies_of_the_environment_are_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy cannot reach our loopback, and must not see what stays on it."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert orjson.loads(await send(fs.chat())) == fs.chat_body()
