"""The bare loops that the collector is compared with: what one writes in ten minutes around aiohttp, or around httpx.

All rows in a list, one task a rollout, a semaphore, gather, a buffered write. No check, no verifier, no retry, nothing
durable, nothing to resume.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, BinaryIO

import orjson
import uvloop

from bench.files_limit import raise_open_files

__all__ = ["run"]

_JSON = {"content-type": "application/json"}


def run(client: str, source: str, target: str, base_url: str, in_flight: str, repeats: str) -> None:
    """Collects with `aiohttp` or `httpx`, on uvloop as the collector runs."""
    raise_open_files()
    loop = {"aiohttp": _aiohttp, "httpx": _httpx}[client]
    rows = [orjson.loads(line) for line in Path(source).read_bytes().splitlines()]
    jobs = [(row, repeat) for row in rows for repeat in range(int(repeats))]
    with Path(target).open("wb") as out:
        uvloop.run(loop(jobs, out, f"{base_url}/chat/completions", int(in_flight)))


async def _aiohttp(jobs: list[tuple[dict[str, Any], int]], out: BinaryIO, url: str, in_flight: int) -> None:
    import aiohttp

    gate = asyncio.Semaphore(in_flight)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def one(row: dict[str, Any], repeat: int) -> None:
            async with gate, session.post(url, data=_request(row, repeat), headers=_JSON) as reply:
                data = orjson.loads(await reply.read())
            out.write(_row(row, repeat, data))

        await asyncio.gather(*(one(row, repeat) for row, repeat in jobs))


async def _httpx(jobs: list[tuple[dict[str, Any], int]], out: BinaryIO, url: str, in_flight: int) -> None:
    import httpx

    gate = asyncio.Semaphore(in_flight)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=None) as client:

        async def one(row: dict[str, Any], repeat: int) -> None:
            async with gate:
                reply = await client.post(url, content=_request(row, repeat), headers=_JSON)
            out.write(_row(row, repeat, orjson.loads(reply.content)))

        await asyncio.gather(*(one(row, repeat) for row, repeat in jobs))


def _request(row: dict[str, Any], repeat: int) -> bytes:
    messages = row["responses_create_params"]["input"]
    return orjson.dumps({"model": "replay", "messages": messages, "seed": repeat, "stream": False})


def _row(row: dict[str, Any], repeat: int, data: dict[str, Any]) -> bytes:
    return orjson.dumps({**row, "repeat": repeat, "response": data}) + b"\n"
