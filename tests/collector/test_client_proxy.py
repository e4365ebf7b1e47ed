"""Which requests go through a proxy of the environment, and what is said when it fails."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from collector.client import ModelClient, build_transport
from collector.client.direct import DirectTransport
from collector.client.transport import proxy_for
from collector.errors import RequestError
from collector.settings import CollectSettings, Timeouts
from tests import faulty_server as fs
from tests.faulty_server import FaultyServer
from tests.tiny_proxy import TinyProxy

BODY = b'{"messages":[]}'


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def settings(url: str) -> CollectSettings:
    timeouts = Timeouts(connect=1.0, total=5.0)
    return CollectSettings(input=Path("in"), output=Path("out"), base_url=url, timeouts=timeouts)


@pytest.mark.parametrize(
    ("environment", "url", "proxy"),
    [
        ({}, "http://model.example/v1", None),
        ({"http_proxy": "http://p:3128"}, "http://model.example/v1", "http://p:3128"),
        ({"http_proxy": "p:3128"}, "http://model.example/v1", "http://p:3128"),
        ({"http_proxy": "http://p:3128"}, "https://model.example/v1", None),
        ({"HTTPS_PROXY": "http://p:3128"}, "https://model.example/v1", "http://p:3128"),
        ({"ALL_PROXY": "http://p:3128"}, "https://model.example/v1", "http://p:3128"),
        ({"all_proxy": "http://p:3128", "no_proxy": "a.example, .example"}, "http://model.example", None),
        ({"all_proxy": "http://p:3128", "NO_PROXY": "other.example"}, "http://model.example", "http://p:3128"),
        ({"all_proxy": "http://p:3128", "NO_PROXY": "*"}, "http://model.example", None),
    ],
)
def test_the_environment_names_the_proxy(
    environment: dict[str, str], url: str, proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By scheme, for all, in either spelling; hosts can be left out."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for(url) == proxy


async def test_without_a_proxy_and_on_this_machine_requests_go_straight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy cannot reach our loopback, and must not see what stays on it."""
    async with build_transport(settings("http://model.example/v1")) as transport:
        assert isinstance(transport, DirectTransport)
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    async with FaultyServer(fs.chat()) as server:
        for host in ("127.0.0.1", "localhost"):
            async with ModelClient(settings(f"http://{host}:{server.port}/v1")) as client:
                assert orjson.loads(await client.send("/x", BODY)) == fs.chat_body()


async def test_a_proxy_passes_requests_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A real one, with a real server behind it."""
    async with FaultyServer(fs.chat()) as server, TinyProxy(server.port) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        async with ModelClient(settings("http://model.example/v1")) as client:
            assert orjson.loads(await client.send("/x", BODY)) == fs.chat_body()
    assert proxy.asked == ["POST http://model.example/v1/x HTTP/1.1"]
    assert server.requests[0].path == "/v1/x"


async def test_a_proxy_that_is_away_or_refuses_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint may be well: the message must say who was asked, without a password that stood in its URL."""
    async with FaultyServer(fs.chat()) as gone:
        pass
    monkeypatch.setenv("http_proxy", f"http://me:secret-word@127.0.0.1:{gone.port}")
    async with ModelClient(settings("http://model.example/v1")) as client:
        with pytest.raises(
            RequestError, match=rf"cannot connect .*the proxy http://127\.0\.0\.1:{gone.port} of"
        ) as caught:
            await client.send("/x", BODY)
    assert "secret-word" not in str(caught.value)
    assert (caught.value.failure_class, caught.value.connection) == ("connect", True)
    async with TinyProxy(gone.port, refuses=True) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        async with ModelClient(settings("https://model.example/v1")) as client:
            with pytest.raises(RequestError, match="cannot connect .*proxy") as caught:
                await client.send("/x", BODY)
    assert caught.value.failure_class == "connect"
