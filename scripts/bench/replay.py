"""A replay server: an OpenAI-compatible endpoint that costs almost nothing, so that a client is what is measured.

HTTP/1.1 with keep-alive, read only as far as needed: a head, and a body as long as its content-length says. It answers
`GET /v1/models`, `POST /v1/chat/completions` after `--latency` seconds, and `GET /counts`. It prints its port, and ends
when its standard input does. Not covered: chunked requests, pipelining, anything that could be wrong with a request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import cast

import uvloop

from bench.files_limit import raise_open_files
from bench.replies import reply_body

_BACKLOG = 4_096


@dataclass(slots=True)
class Counts:
    """What the server saw. `in_flight` requests have come whole and have no reply yet; `high_water` is the most there
    were at once. `first` request and `last` reply in seconds of the system's monotonic clock, 0 before there is one."""

    connections: int = 0
    requests: int = 0
    replies: int = 0
    in_flight: int = 0
    high_water: int = 0
    first: float = 0.0
    last: float = 0.0


def main() -> None:
    """Serves until standard input ends."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--latency", type=float, default=0.0, metavar="S", help="before each reply")
    raise_open_files()
    uvloop.run(_serve(parser.parse_args().latency))


async def _serve(latency: float) -> None:
    loop = asyncio.get_running_loop()
    counts = Counts()
    server = await loop.create_server(lambda: _Connection(counts, latency), "127.0.0.1", 0, backlog=_BACKLOG)
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()
    server.close()


class _Connection(asyncio.Protocol):
    """One client's connection. One request at a time, as HTTP clients use it."""

    def __init__(self, counts: Counts, latency: float) -> None:
        self._counts = counts
        self._latency = latency
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self._pending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self._counts.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._pending is not None:
            self._pending.cancel()
            self._counts.in_flight -= 1

    def data_received(self, data: bytes) -> None:
        data = self._buffer + data if self._buffer else data
        end = data.find(b"\r\n\r\n")
        if end < 0 or len(data) - end - 4 < _content_length(data[:end]):
            self._buffer = data
            return
        self._buffer = b""
        if data.startswith(b"POST"):
            self._take()
        else:
            self._send(self._listing(data.split(b" ", 2)[1]))

    def _take(self) -> None:
        counts = self._counts
        counts.requests += 1
        counts.in_flight += 1
        counts.high_water = max(counts.high_water, counts.in_flight)
        counts.first = counts.first or time.monotonic()
        body = reply_body(counts.requests)
        if self._latency:
            self._pending = asyncio.get_running_loop().call_later(self._latency, self._reply, body)
        else:
            self._reply(body)

    def _reply(self, body: bytes) -> None:
        self._pending = None
        counts = self._counts
        counts.in_flight -= 1
        counts.replies += 1
        counts.last = time.monotonic()
        self._send(body)

    def _listing(self, path: bytes) -> bytes:
        if path == b"/counts":
            return json.dumps(asdict(self._counts)).encode()
        return json.dumps({"object": "list", "data": [{"id": "replay", "object": "model"}]}).encode()

    def _send(self, body: bytes) -> None:
        if self._transport is not None:
            head = b"HTTP/1.1 200 OK\r\nserver: replay\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
            self._transport.write(head % len(body) + body)


def _content_length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return 0 if at < 0 else int(head[at + 15 :].split(b"\r", 1)[0])


if __name__ == "__main__":
    main()
