"""A NeMo Gym head server and agent for tests: they speak its contract (facts from its source, 0.7), on real sockets.

NeMo Gym itself needs Python 3.13 and 160 packages; what stands here is the edge: `/global_config_dict_yaml`, and an
agent's `POST /run` that answers rows as its real files hold them, null-padded, without the source row's other fields.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_rng = random.Random(3)


async def _run(request: Request) -> Response:
    """One rollout, after a random wait, so that answers come back in another order than the requests went out."""
    row = orjson.loads(await request.body())
    await asyncio.sleep(_rng.uniform(0, 0.03))
    asked = row["responses_create_params"]
    prompt = asked["input"] if isinstance(asked["input"], str) else asked["input"][-1]["content"]
    number = (row["_ng_task_index"] * 7 + row["_ng_rollout_index"] * 3) % 11
    message = {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": f"<{prompt}> {number}", "annotations": []}],
    }
    call = {"type": "function_call", "name": "look_up", "arguments": "{}", "call_id": "call_1"}
    answer = {
        "responses_create_params": {"background": None, "tools": [], "temperature": None, **asked},
        "response": {
            "id": "resp_1",
            "object": "response",
            "status": "completed",
            "output": [call, {"type": "function_call_output", "call_id": "call_1", "output": "42"}, message],
            "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
        },
        "reward": number / 10,
        "accuracy": number > 5,
        "_ng_task_index": row["_ng_task_index"],
        "_ng_rollout_index": row["_ng_rollout_index"],
        "agent_ref": row["agent_ref"],
    }
    return Response(orjson.dumps(answer), media_type="application/json")


@contextmanager
def listening(app: Starlette) -> Iterator[int]:
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            threading.Event().wait(0.01)
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def nemo_gym(agent_name: str) -> Iterator[str]:
    """The head server's URL; it knows one agent, which listens too."""
    with listening(Starlette(routes=[Route("/run", _run, methods=["POST"])])) as agent_port:
        agent: dict[str, Any] = {"simple_agent": {"host": "127.0.0.1", "port": agent_port}}
        config = f"head_server: {{host: 127.0.0.1}}\n{agent_name}: {json.dumps({'responses_api_agents': agent})}\n"

        async def config_yaml(_: Request) -> Response:
            return Response(json.dumps(config), media_type="application/json")

        with listening(Starlette(routes=[Route("/global_config_dict_yaml", config_yaml)])) as head_port:
            yield f"http://127.0.0.1:{head_port}"
