"""A server that speaks as a judge or a reward model does, over real HTTP, and answers as a test tells it to.

The judge's side is OpenAI's chat completions. The reward models' side speaks the shapes of vLLM 0.13 and later
(/classify, /score, /pooling: read from its `entrypoints/pooling/*/protocol.py`) and of SGLang's native /classify: a
reward model needs a GPU server that cannot be had here, so only its edge stands in this file.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Say = Callable[[dict[str, Any], int], Any]
"""(the request's body, which request it is, from 0) -> the text of a judge's reply, or (status, body)."""


def always(text: str) -> Say:
    return lambda body, number: text


@dataclass
class ScoringServer:
    """`say` makes a judge's replies. `outputs` is what a reward model's head gives: one vector, or one per token for
    /pooling. `hold` lets no request end before so many are in flight at once. `api_key` is asked for when set."""

    say: Say = field(default_factory=lambda: always("Fine.\n\nScore: 7"))
    outputs: Any = field(default_factory=lambda: [0.75])
    finish: str = "stop"
    models: tuple[str, ...] = ("judge-model",)
    native: bool = False
    hold: int = 0
    api_key: str | None = None
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    in_flight: int = 0
    high_water: int = 0
    _full: asyncio.Event | None = None
    _server: uvicorn.Server | None = None

    async def list_models(self, request: Request) -> Response:
        return self._refused(request) or _json({"object": "list", "data": [{"id": name} for name in self.models]})

    async def chat(self, request: Request) -> Response:
        body = await self._take(request)
        number = len(self.bodies) - 1
        refused = self._refused(request)
        if refused:
            return refused
        try:
            await self._wait()
            said = self.say(body, number)
        finally:
            self.in_flight -= 1
        if isinstance(said, tuple):
            return Response(said[1], said[0])
        message = {"role": "assistant", "content": said}
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
        return _json({"id": "c1", "object": "chat.completion", "choices": [choice], "usage": usage})

    async def classify(self, request: Request) -> Response:
        body = await self._take(request)
        self.in_flight -= 1
        if self.native:
            problem = "" if isinstance(body.get("text"), str) else "text is needed"
            return _json([{"embedding": self.outputs, "meta_info": {}}]) if not problem else _json(problem, 400)
        problem = _not_pooled(body)
        if problem:
            return _json({"error": {"message": problem}}, 400)
        item = {"index": 0, "label": "LABEL_0", "probs": self.outputs, "num_classes": len(self.outputs)}
        return _json({"id": "classify-1", "object": "list", "model": body["model"], "data": [item], "usage": {}})

    async def score(self, request: Request) -> Response:
        body = await self._take(request)
        self.in_flight -= 1
        if not isinstance(body.get("text_1"), str) or not isinstance(body.get("text_2"), str):
            return _json({"error": {"message": "text_1 and text_2 are needed"}}, 400)
        item = {"index": 0, "object": "score", "score": self.outputs[0]}
        return _json({"id": "score-1", "object": "list", "model": body["model"], "data": [item], "usage": {}})

    async def pooling(self, request: Request) -> Response:
        body = await self._take(request)
        self.in_flight -= 1
        problem = _not_pooled(body)
        if problem:
            return _json({"error": {"message": problem}}, 400)
        item = {"index": 0, "object": "pooling", "data": self.outputs}
        return _json({"id": "pool-1", "object": "list", "model": body["model"], "data": [item], "usage": {}})

    async def _take(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = orjson.loads(await request.body())
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        self.in_flight += 1
        self.high_water = max(self.high_water, self.in_flight)
        return body

    async def _wait(self) -> None:
        if self.hold:
            self._full = self._full or asyncio.Event()
            if self.in_flight >= self.hold:
                self._full.set()
            await asyncio.wait_for(self._full.wait(), 20)

    def _refused(self, request: Request) -> Response | None:
        given = request.headers.get("authorization")
        if self.api_key is None or given == f"Bearer {self.api_key}":
            return None
        return _json({"error": {"message": f"Incorrect API key provided: {given}"}}, 401)

    def take_down(self) -> None:
        """Stops listening and drops every connection, as a crash does."""
        assert self._server is not None
        self._server.should_exit = self._server.force_exit = True

    @contextmanager
    def serving(self) -> Iterator[ScoringServer]:
        """Listens on a free loopback port for as long as the block runs; sets `url`, without /v1."""
        routes = [
            Route("/v1/models", self.list_models),
            Route("/v1/chat/completions", self.chat, methods=["POST"]),
            Route("/classify", self.classify, methods=["POST"]),
            Route("/score", self.score, methods=["POST"]),
            Route("/pooling", self.pooling, methods=["POST"]),
        ]
        config = uvicorn.Config(Starlette(routes=routes), port=0, log_level="critical", lifespan="off")
        config.timeout_graceful_shutdown = 0
        self._server = server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            while not server.started:
                if not thread.is_alive():
                    raise RuntimeError("the test's scoring server did not start")
                threading.Event().wait(0.01)
            self.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            yield self
        finally:
            server.should_exit = server.force_exit = True
            thread.join()


def _not_pooled(body: dict[str, Any]) -> str:
    """What vLLM's request models would refuse: neither `input` nor messages whose roles and contents are there."""
    if isinstance(body.get("input"), str):
        return ""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        return "messages or input is needed"
    return "" if all("role" in message and "content" in message for message in messages) else "a message lacks a part"


def _json(body: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")
