"""TLS: an own authority, certificates that must be refused, servers that speak none; straight and through a tunnel."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import orjson
import pytest
import trustme

from collector.client import ModelClient
from collector.errors import RequestError
from collector.settings import CollectSettings, Timeouts
from tests import faulty_server as fs
from tests.faulty_server import FaultyServer
from tests.tiny_proxy import TinyProxy

BODY = b'{"messages":[]}'
LONG_AGO = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(autouse=True)
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL's own variable names the one authority that is trusted."""
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))


def context_of(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def client_of(url: str) -> ModelClient:
    timeouts = Timeouts(connect=1.0, total=5.0)
    return ModelClient(CollectSettings(input=Path("in"), output=Path("out"), base_url=url, timeouts=timeouts))


async def fault_of(certificate: trustme.LeafCert) -> RequestError:
    """What a server with this certificate gets said. It must hear no request."""
    async with FaultyServer(fs.chat(), tls=context_of(certificate)) as server:
        client = client_of(f"https://localhost:{server.port}/v1")
        with pytest.raises(RequestError, match="no trusted TLS connection") as caught:
            async with client:
                await client.send("/x", BODY)
    assert not server.requests
    assert (caught.value.failure_class, caught.value.retryable) == ("tls", False)
    return caught.value


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_a_server_of_a_trusted_authority_is_asked(authority: trustme.CA, host: str) -> None:
    """By name and by address; connections are reused, and cut ones told apart as without TLS."""
    behaviours = fs.chat("a"), fs.chat("b"), fs.reset_mid_body, fs.then_close(fs.chat("c")), fs.chat("d")
    async with FaultyServer(*behaviours, tls=context_of(authority.issue_cert(host))) as server:
        client = client_of(f"https://{host}:{server.port}/v1")
        assert orjson.loads(await client.send("/x", BODY)) == fs.chat_body("a")
        assert orjson.loads(await client.send("/x", BODY)) == fs.chat_body("b")
        assert server.connections == 1
        with pytest.raises(RequestError, match="cut before the reply was whole"):
            await client.send("/x", BODY)
        assert orjson.loads(await client.send("/x", BODY)) == fs.chat_body("c")
        assert orjson.loads(await client.send("/x", BODY)) == fs.chat_body("d")
        await client.__aexit__()


async def test_an_unknown_authority_is_refused() -> None:
    """The request never reaches a server that nobody vouches for."""
    assert "certificate" in str(await fault_of(trustme.CA().issue_cert("localhost")))


async def test_another_hosts_certificate_is_refused(authority: trustme.CA) -> None:
    """The authority vouches for someone, but not for this name."""
    assert "localhost" in str(await fault_of(authority.issue_cert("elsewhere.example")))


async def test_an_expired_certificate_is_refused(authority: trustme.CA) -> None:
    """And the message says so."""
    assert "expired" in str(await fault_of(authority.issue_cert("localhost", not_before=LONG_AGO, not_after=LONG_AGO)))


async def test_a_server_that_speaks_no_tls_is_named_so() -> None:
    """https where http is meant: a slip that no retry mends."""

    async def answer(exchange: fs.Exchange) -> None: ...

    async with FaultyServer(answer) as server:
        server.on_connection = b"HTTP/1.1 400 Bad Request\r\n\r\n"
        async with client_of(f"https://127.0.0.1:{server.port}/v1") as client:
            with pytest.raises(RequestError, match="no trusted TLS connection .*version") as caught:
                await client.send("/x", BODY)
    assert not caught.value.retryable


async def test_a_server_that_hangs_in_the_handshake_is_a_connect_timeout() -> None:
    """It takes the connection and says nothing: --connect-timeout ends it."""
    async with FaultyServer(fs.never_answers) as server, client_of(f"https://127.0.0.1:{server.port}/v1") as client:
        with pytest.raises(RequestError, match=r"no connection in time \(--connect-timeout\)") as caught:
            await client.send("/x", BODY)
    assert (caught.value.failure_class, caught.value.retryable) == ("connect", True)


async def test_a_tunnel_is_verified_end_to_end(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through a proxy the model's own certificate counts; the proxy sees a name and a port, never the request."""
    for certificate, works in (
        (authority.issue_cert("model.example"), True),
        (authority.issue_cert("x.example"), False),
    ):
        async with FaultyServer(fs.chat(), tls=context_of(certificate)) as server, TinyProxy(server.port) as proxy:
            monkeypatch.setenv("https_proxy", proxy.url)
            async with client_of("https://model.example/v1") as client:
                if works:
                    assert orjson.loads(await client.send("/x", BODY)) == fs.chat_body()
                else:
                    with pytest.raises(RequestError, match="no trusted TLS connection"):
                        await client.send("/x", BODY)
        assert set(proxy.asked) == {"CONNECT model.example:443 HTTP/1.1"}
