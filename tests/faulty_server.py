"""A raw HTTP/1.1 server on 127.0.0.1 that misbehaves on purpose, in ways that no server library lets a test ask for.

Give it behaviours: the nth request gets the nth, and the last one stays. Everything heard stands in `requests`.

    async with FaultyServer(reset_before_reply, chat("hello")) as server:
        ...  # server.url, server.requests, server.connections
"""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

__all__ = [
    "Behaviour",
    "Exchange",
    "FaultyServer",
    "chat",
    "chat_body",
    "endless_head",
    "garbage",
    "gzip_bomb",
    "gzipped",
    "never_answers",
    "oversized",
    "raw",
    "redirect",
    "reply",
    "reset_before_reply",
    "reset_mid_body",
    "slow_body",
    "slow_head",
    "then_close",
    "truncated_chunks",
    "unlimited_body",
]


@dataclass
class Exchange:
    """One request as it was heard, and the wire to answer on. `connection` counts from 0."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int
    reader: asyncio.StreamReader = field(repr=False)
    writer: asyncio.StreamWriter = field(repr=False)

    def json(self) -> Any:
        return json.loads(self.body)

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def reset(self) -> None:
        """Cut the connection at once, without a farewell."""
        self.writer.transport.abort()

    def close(self) -> None:
        """Close the connection after what was sent; the server hears no further request on it."""
        self.writer.close()

    async def client_left(self) -> None:
        """Returns when the client has closed its side, by a farewell or a reset."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass


Behaviour = Callable[[Exchange], Awaitable[None]]


class FaultyServer:
    """Serves until the `async with` ends; open connections are cut then, so that no behaviour can hang a test."""

    def __init__(self, *behaviours: Behaviour, tls: ssl.SSLContext | None = None) -> None:
        self.behaviours = behaviours
        self._tls = tls
        self.requests: list[Exchange] = []
        self.connections = 0
        self.heard = asyncio.Event()
        """Set when the first request is in."""
        self.met = asyncio.Event()
        """Set when the first connection stands, heard or not."""
        self.left = asyncio.Event()
        """Set when a connection has ended."""
        self.on_connection = b""
        """Said on every new connection before anything is heard."""
        self.on_head = b""
        """Said when a request's head is heard; its body is never read then."""
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls, backlog=1024)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        connection = self.connections
        self.connections += 1
        self.met.set()
        writer.write(self.on_connection)
        try:
            while not writer.is_closing():
                if self.on_head:
                    await reader.readuntil(b"\r\n\r\n")
                    writer.write(self.on_head)
                    await writer.drain()
                    await asyncio.Event().wait()
                exchange = await _hear(reader, writer, connection)
                self.requests.append(exchange)
                self.heard.set()
                behaviour = self.behaviours[min(len(self.requests), len(self.behaviours)) - 1]
                await behaviour(exchange)
                await writer.drain()
        except (asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._tasks.discard(task)
            self.left.set()
            writer.transport.abort()


async def _hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> Exchange:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Exchange(method, path, headers, body, connection, reader, writer)


def chat_body(text: str = "hello", **changes: Any) -> dict[str, Any]:
    """A right Chat reply."""
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        **changes,
    }


_JSON = {"Content-Type": "application/json"}


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode("latin-1")


def reply(status: int = 200, body: bytes | str | object = b"", **headers: str) -> Behaviour:
    """A whole answer. `body` is bytes, text, or an object that is sent as JSON; `Retry_After="3"` names a header."""
    if isinstance(body, str):
        body = body.encode()
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def answer(exchange: Exchange) -> None:
        exchange.send(_head(status, {**_JSON, "Content-Length": str(len(data)), **named}) + data)

    return answer


def raw(*pieces: bytes) -> Behaviour:
    """These bytes, each piece written apart, and nothing else: whatever HTTP allows or forbids."""

    async def answer(exchange: Exchange) -> None:
        for piece in pieces:
            exchange.send(piece)
            await exchange.writer.drain()
            await asyncio.sleep(0)

    return answer


def chat(text: str = "hello", **changes: Any) -> Behaviour:
    return reply(200, chat_body(text, **changes))


def then_close(behaviour: Behaviour) -> Behaviour:
    """Answer, then close the connection without having said so: the client's next request on it finds it dead."""

    async def answer(exchange: Exchange) -> None:
        await behaviour(exchange)
        await exchange.writer.drain()
        exchange.close()

    return answer


async def reset_before_reply(exchange: Exchange) -> None:
    exchange.reset()


async def reset_mid_body(exchange: Exchange) -> None:
    """Half of the promised body, then a cut."""
    exchange.send(_head(200, {**_JSON, "Content-Length": "1000"}) + b'{"choices": [')
    await exchange.writer.drain()
    exchange.close()


async def truncated_chunks(exchange: Exchange) -> None:
    """A chunked body that ends without its last chunk."""
    exchange.send(_head(200, {**_JSON, "Transfer-Encoding": "chunked"}) + b'5\r\n{"a":\r\n')
    await exchange.writer.drain()
    exchange.close()


async def garbage(exchange: Exchange) -> None:
    """Bytes that are no HTTP."""
    exchange.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    await exchange.writer.drain()
    exchange.close()


async def never_answers(exchange: Exchange) -> None:
    """Silence until the client hangs up."""
    await exchange.client_left()
    exchange.close()


async def slow_body(exchange: Exchange) -> None:
    """One byte of the body every 20 ms, for ever: each read succeeds, the reply never ends."""
    exchange.send(_head(200, {**_JSON, "Content-Length": "1000000"}))
    while True:
        exchange.send(b" ")
        await exchange.writer.drain()
        await asyncio.sleep(0.02)


async def slow_head(exchange: Exchange) -> None:
    """A status line, then one byte of a header every 20 ms, for ever."""
    exchange.send(b"HTTP/1.1 200 OK\r\nx-slow: ")
    while True:
        exchange.send(b"x")
        await exchange.writer.drain()
        await asyncio.sleep(0.02)


async def endless_head(exchange: Exchange) -> None:
    """Headers without end, as fast as the client reads."""
    exchange.send(b"HTTP/1.1 200 OK\r\n")
    while not exchange.writer.is_closing():
        exchange.send(b"x-header: of no use at all\r\n" * 1000)
        await exchange.writer.drain()


def gzip_bomb(megabytes: int = 64) -> Behaviour:
    """A small gzip body that opens to `megabytes` MiB of spaces."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b" " * 2**20
    body = b"".join(packer.compress(block) for _ in range(megabytes)) + packer.flush()
    return reply(200, body, Content_Encoding="gzip")


def gzipped(body: object) -> Behaviour:
    """A right answer, compressed."""
    return reply(200, gzip.compress(json.dumps(body).encode()), Content_Encoding="gzip")


def oversized(size: int) -> Behaviour:
    """Announces `size` bytes, sends the first MiB of them, and waits: a client that reads the head need not wait."""

    async def answer(exchange: Exchange) -> None:
        exchange.send(_head(200, {**_JSON, "Content-Length": str(size)}) + b" " * 2**20)
        await exchange.client_left()
        exchange.close()

    return answer


async def unlimited_body(exchange: Exchange) -> None:
    """A chunked body that never ends, as fast as the client reads."""
    exchange.send(_head(200, {**_JSON, "Transfer-Encoding": "chunked"}))
    block = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    while not exchange.writer.is_closing():
        exchange.send(block)
        await exchange.writer.drain()


def redirect(target: str, status: int = 307) -> Behaviour:
    return reply(status, b"", Location=target)
