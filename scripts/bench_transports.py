"""Client CPU per request, and memory, of the candidates for the request path: a table, then one JSON line.

A server of few lines answers each POST of 1 KB with a canned 2 KB reply after a set latency, in a process of its own.
Each candidate runs in its own process, in turn, the whole round several times; the least of its times is shown, since
other load on the machine only adds to them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

REPLY_BODY = json.dumps({"choices": [{"message": {"role": "assistant", "content": "x" * 1900}}]}).encode()
REPLY = b"HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\nserver: bench\r\ncontent-length: %d\r\n" % (
    len(REPLY_BODY)
) + (b"content-type: application/json\r\n\r\n" + REPLY_BODY)
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "y" * 900}]}).encode()
HEADERS = {"content-type": "application/json", "authorization": "Bearer sk-benchmark", "user-agent": "bench"}
CASES = ((128, 0.0, 20_000), (1000, 0.0, 20_000), (4000, 1.0, 16_000))
"""In flight, latency of the server in seconds, requests."""

Send = Callable[[], Awaitable[int]]
"""One request; the size of its reply's body."""


class Server(asyncio.Protocol):
    """Answers once the announced body is there."""

    latency = 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.heard = b""

    def data_received(self, data: bytes) -> None:
        self.heard += data
        head, found, body = self.heard.partition(b"\r\n\r\n")
        if not found:
            return
        chunked = b"chunked" in head.lower()
        done = self.heard.endswith(b"\r\n0\r\n\r\n") if chunked else len(body) >= len(BODY)
        if not done:
            return
        self.heard = b""
        if self.latency:
            asyncio.get_running_loop().call_later(self.latency, self.answer)
        else:
            self.answer()

    def answer(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(REPLY)


async def serve(latency: float) -> None:
    Server.latency = latency
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def pyreqwest_httpx(url: str) -> AsyncIterator[Send]:
    from pyreqwest.compatibility.httpx import HttpxTransport

    async with over_httpx(HttpxTransport(), url) as send:
        yield send


@contextlib.asynccontextmanager
async def pyreqwest_buffered(url: str) -> AsyncIterator[Send]:
    """Without httpx's classes and without a cap: the least that pyreqwest costs."""
    from pyreqwest.client import ClientBuilder

    async with ClientBuilder().build() as client:

        async def send() -> int:
            response = await client.post(url).headers(HEADERS).body_bytes(BODY).build().send()
            return len(bytes(await response.bytes()))

        yield send


@contextlib.asynccontextmanager
async def httpx_aiohttp(url: str) -> AsyncIterator[Send]:
    import aiohttp
    from httpx_aiohttp import AiohttpTransport

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    async with session, over_httpx(AiohttpTransport(client=session), url) as send:
        yield send


@contextlib.asynccontextmanager
async def raw_aiohttp(url: str) -> AsyncIterator[Send]:
    import aiohttp

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=HEADERS) as session:

        async def send() -> int:
            async with session.post(url, data=BODY) as response:
                return len(await response.read())

        yield send


@contextlib.asynccontextmanager
async def direct_httpx(url: str) -> AsyncIterator[Send]:
    from collector.client.direct import DirectTransport

    async with over_httpx(DirectTransport(connect=10, total=600, max_bytes=2**26), url) as send:
        yield send


@contextlib.asynccontextmanager
async def model_client(url: str) -> AsyncIterator[Send]:
    """What a run uses: redaction, size cap, timeouts and classified faults included."""
    from collector.client import ModelClient
    from collector.settings import CollectSettings

    base = url.removesuffix("/chat/completions")
    settings = CollectSettings(input=Path("in"), output=Path("out"), base_url=base, api_key="sk-benchmark")
    async with ModelClient(settings) as client:

        async def send() -> int:
            return len(await client.send("/chat/completions", BODY))

        yield send


@contextlib.asynccontextmanager
async def over_httpx(transport: Any, url: str) -> AsyncIterator[Send]:
    """A transport called as httpx would, without httpx's client around it."""
    import httpx

    target, headers = httpx.URL(url), httpx.Headers(HEADERS)

    async def send() -> int:
        request = httpx.Request("POST", target, headers=headers, content=BODY)
        request.extensions = {"timeout": {"read": 600.0}}
        response = await transport.handle_async_request(request)
        size = 0
        async for chunk in response.stream:
            size += len(chunk)
        await response.stream.aclose()
        return size

    async with transport:
        yield send


CANDIDATES = {
    "pyreqwest HttpxTransport": pyreqwest_httpx,
    "pyreqwest, buffered, no cap": pyreqwest_buffered,
    "httpx-aiohttp transport": httpx_aiohttp,
    "aiohttp": raw_aiohttp,
    "DirectTransport, httpx's seam": direct_httpx,
    "ModelClient over DirectTransport": model_client,
}


async def drive(name: str, url: str, in_flight: int, count: int) -> dict[str, float]:
    """CPU of this process alone, after as many requests as are in flight have opened the connections."""
    async with CANDIDATES[name](url) as send:
        opening = time.perf_counter()
        setup_cpu = time.process_time()
        await asyncio.gather(*(send() for _ in range(in_flight)))
        setup_cpu = time.process_time() - setup_cpu
        opening = time.perf_counter() - opening
        left = iter(range(count))

        async def work() -> None:
            for _ in left:
                if await send() != len(REPLY_BODY):
                    raise SystemExit("a reply of the wrong size")

        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work() for _ in range(in_flight)))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "us": cpu / count * 1e6,
        "wall": wall,
        "rss_mb": memory,
        "open_us": setup_cpu / in_flight * 1e6,
        "open_s": opening,
    }


def measure(name: str, in_flight: int, latency: float, count: int) -> dict[str, float]:
    """One candidate against a fresh server, both in processes of their own."""
    command = [sys.executable, __file__]
    server = subprocess.Popen([*command, "--serve", str(latency)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{server.stdout.readline().strip()}/v1/chat/completions"
        given = [*command, "--drive", name, url, str(in_flight), str(count)]
        measured: dict[str, float] = json.loads(
            subprocess.run(given, check=True, capture_output=True, text=True).stdout
        )
        return measured
    finally:
        server.kill()
        server.wait()


def table(rounds: int, names: list[str]) -> None:
    best: dict[str, dict[str, float]] = {name: {} for name in names}
    for _ in range(rounds):
        for in_flight, latency, count in CASES:
            for name in names:
                for key, value in measure(name, in_flight, latency, count).items():
                    cell = f"{key}_{in_flight}"
                    best[name][cell] = min(value, best[name].get(cell, value))
    print(
        "| client CPU, us per request | " + " | ".join(f"{n} in flight" for n, *_ in CASES) + " | RSS at the last, MB |"
    )
    print("|---|" + "---|" * (len(CASES) + 1))
    for name, cells in best.items():
        times = " | ".join(f"{cells[f'us_{n}']:.0f}" for n, *_ in CASES)
        print(f"| {name} | {times} | {cells[f'rss_mb_{CASES[-1][0]}']:.0f} |")
    print(json.dumps({name: {key: round(value, 3) for key, value in cells.items()} for name, cells in best.items()}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=CANDIDATES, help="this candidate alone (repeatable)")
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--drive", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 16_384)), hard))
    try:
        from uvloop import run
    except ImportError:
        from asyncio import run  # type: ignore[assignment]
    if given.serve is not None:
        run(serve(given.serve))
    elif given.drive:
        name, url, in_flight, count = given.drive
        print(json.dumps(run(drive(name, url, int(in_flight), int(count)))))
    else:
        table(given.rounds, given.only or list(CANDIDATES))


if __name__ == "__main__":
    main()
