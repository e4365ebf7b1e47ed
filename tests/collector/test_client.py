"""ModelClient over real sockets: what it sends, which connections it uses, what it says, and that no key gets out."""

from __future__ import annotations

import asyncio
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


async def test_a_cancelled_send_closes_its_connection_at_once() -> None:
    """The server sees it, long before any timeout: it need not go on generating."""
    left = asyncio.Event()

    async def until_left(exchange: fs.Exchange) -> None:
        await exchange.client_left()
        left.set()

    async with FaultyServer(until_left) as server, ModelClient(settings(server.url, seconds=600)) as client:
        sending = asyncio.create_task(client.send("/x", BODY))
        await server.heard.wait()
        sending.cancel()
        async with asyncio.timeout(10):
            await left.wait()
        with pytest.raises(asyncio.CancelledError):
            await sending


async def test_a_fresh_connection_cut_without_a_byte_is_an_attempt() -> None:
    """With no earlier answer nothing was reused: the server itself cut it."""
    async with FaultyServer(fs.reset_before_reply) as server, ModelClient(settings(server.url)) as client:
        with pytest.raises(RequestError, match="closed before any reply"):
            await client.send("/x", BODY)
    assert len(server.requests) == 1


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


async def test_secrets_of_the_settings_are_taken_out_however_json_spells_them() -> None:
    """Values of headers that came from the environment, in a body that escapes slashes and quotes."""
    secret = 'to/ken"x'
    echo = b'{"a": "to/ken\\"x", "b": "to\\/ken\\"x", "c": "ok"}'
    reply = await send(fs.reply(200, echo), secrets=(secret, "ok"))
    assert reply == b'{"a": "[redacted]", "b": "[redacted]", "c": "ok"}'


@pytest.mark.parametrize("name", ["x y", "x\ny", "", "x:"])
def test_a_header_name_that_http_does_not_know_is_refused(name: str) -> None:
    """Nothing can be smuggled in by a name either."""
    with pytest.raises(UsageError, match="no name that HTTP knows"):
        ModelClient(settings(headers={name: "v"}))


@pytest.mark.parametrize("key", ["two\nlines", "naïve", "bell\x07"])
def test_a_key_that_http_cannot_carry_is_refused_without_showing_it(key: str) -> None:
    """A key file with a line break in its middle: said at once, the key itself never."""
    with pytest.raises(UsageError, match="header authorization: its value holds a character") as caught:
        ModelClient(settings(api_key=key), httpx.MockTransport(lambda request: httpx.Response(200)))
    assert key not in str(caught.value)
