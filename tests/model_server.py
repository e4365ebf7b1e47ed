"""A real HTTP model server for tests: random latency, faults at a known rate, and a count of what is in flight.

Its answers name the prompt they answer, so that a test can see when an answer ends up with another prompt. It stands
in for a GPU server's timing and faults, which cannot be had here; the embedded server covers a real model.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FAULTS = ("500", "429", "html", "torn", "empty")


@dataclass
class ModelServer:
    """`latency` in seconds (low, high); one request in `fault_every` fails; prompts holding a word of `always_fail`
    fail every time. `fault_kinds` are taken in turn.

    `busy_first` turns the first request of each prompt and seed away with a 429 and that Retry-After. `most_samples` is
    how many choices one request may have, `extra_samples` come unasked; `one_answer` makes all answers to a prompt the
    same. While `hung` is set no request is answered, the model list included. What `down` names ("chat", "models") is
    answered with a 503, and all that comes from then on with a 401 where that is "key"; `listed` counts the questions
    for the model list."""

    latency: tuple[float, float] = (0.0, 0.0)
    fault_every: int = 0
    fault_kinds: tuple[str, ...] = FAULTS
    always_fail: str = ""
    models: tuple[str, ...] = ("test-model",)
    api_key: str | None = None
    hold: int = 0
    """Requests wait until this many are in flight at once: proves the collector's limit from below."""
    busy_first: str | None = None
    most_samples: int = 1
    extra_samples: int = 0
    one_answer: bool = False
    down: tuple[str, ...] = ()
    listed: int = 0
    url: str = ""
    in_flight: int = 0
    high_water: int = 0
    requests: int = 0
    prompts: list[str] = field(default_factory=list)
    seen: Counter[tuple[str, Any]] = field(default_factory=Counter)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    _rng: random.Random = field(default_factory=lambda: random.Random(7))
    _full: asyncio.Event | None = None
    _server: uvicorn.Server | None = None
    _awake: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop | None = None

    def __post_init__(self) -> None:
        self._awake.set()

    def hang(self) -> None:
        """Answers no request any more, nor for the model list, though it takes them."""
        self._awake.clear()

    def wake(self) -> None:
        """Answers again."""
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._awake.set)

    async def models_list(self, request: Request) -> Response:
        self._loop = asyncio.get_running_loop()
        if self.api_key and request.headers.get("authorization") != f"Bearer {self.api_key}":
            return _json({"error": {"message": "Incorrect API key provided"}}, 401)
        await self._awake.wait()
        self.listed += 1
        if "key" in self.down:
            return _json({"error": {"message": "the key has expired"}}, 401)
        if "models" in self.down:
            return Response(b"upstream is away", 503)
        return _json({"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]})

    async def chat(self, request: Request) -> Response:
        body = orjson.loads(await request.body())
        self.requests += 1
        number = self.requests
        prompt = body["messages"][-1]["content"]
        self.prompts.append(prompt)
        self.bodies.append(body)
        self.seen[prompt, body.get("seed")] += 1
        if "key" in self.down:
            return _json({"error": {"message": "the key has expired"}}, 401)
        self.in_flight += 1
        self.high_water = max(self.high_water, self.in_flight)
        try:
            await self._wait()
            return self._answer(body, prompt, number)
        finally:
            self.in_flight -= 1

    async def _wait(self) -> None:
        await self._awake.wait()
        if self.hold:
            self._full = self._full or asyncio.Event()
            if self.in_flight >= self.hold:
                self._full.set()
            await asyncio.wait_for(self._full.wait(), 20)
        low, high = self.latency
        if high:
            await asyncio.sleep(self._rng.uniform(low, high))

    def _answer(self, body: dict[str, Any], prompt: str, number: int) -> Response:
        if self.always_fail and self.always_fail in prompt:
            return _json({"error": {"message": "this prompt always fails"}}, 400)
        if "chat" in self.down:
            return Response(b"upstream is away", 503)
        if self.fault_every and number % self.fault_every == 0:
            return _fault(self.fault_kinds[number // self.fault_every % len(self.fault_kinds)])
        if self.busy_first is not None and self.seen[prompt, body.get("seed")] == 1:
            return Response(b"busy", 429, headers={"Retry-After": self.busy_first})
        first = 0 if self.one_answer else body.get("seed") or number
        return _json(
            {
                "id": f"chatcmpl-{number}",
                "object": "chat.completion",
                "model": body.get("model"),
                "choices": [
                    {
                        "index": index,
                        "message": {"role": "assistant", "content": f"<{prompt}> {(first + 3 * index) % 11}"},
                        "finish_reason": "stop",
                    }
                    for index in range(min(body.get("n", 1), self.most_samples) + self.extra_samples)
                ],
                "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8},
            }
        )

    def take_down(self) -> None:
        """Stops listening and drops every connection, as a crash does."""
        assert self._server is not None
        self._server.should_exit = self._server.force_exit = True

    @contextmanager
    def serving(self) -> Iterator[ModelServer]:
        """Listens on a free loopback port for as long as the block runs; sets `url`."""
        app = Starlette(
            routes=[
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/v1/models", self.models_list),
            ]
        )
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run)
        thread.start()
        self._server = server
        try:
            while not server.started:
                if not thread.is_alive():
                    raise RuntimeError("the test's model server did not start")
                threading.Event().wait(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            self.url = f"http://127.0.0.1:{port}/v1"
            yield self
        finally:
            server.should_exit = True
            thread.join()


def _fault(kind: str) -> Response:
    if kind == "500":
        return _json({"error": {"message": "CUDA error: out of luck"}}, 500)
    if kind == "429":
        return Response(b"slow down", 429, headers={"Retry-After": "0"})
    if kind == "html":
        return Response(b"<html>gateway</html>", 200, media_type="text/html")
    if kind == "torn":
        return Response(b'{"choices": [{"message": {"role": "assi', 200, media_type="application/json")
    return _json({"choices": []})


def _json(body: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


def score(row: dict[str, Any], text: str) -> float:
    """The verifier of these tests: the number at the end of the answer, as a share of ten."""
    return int(text.rsplit(" ", 1)[1]) / 10


if __name__ == "__main__":  # as a process of its own, which can be stopped, continued and killed
    with ModelServer(latency=(0.005, 0.02)).serving() as alone:
        print(alone.url, flush=True)
        sys.stdin.read()
