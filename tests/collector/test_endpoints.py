"""Which server a task's requests go to: the one of the run, or the agent that its row names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from collector.collecting import collect
from collector.errors import ServerError
from collector.settings import CollectSettings, RetryPolicy

AGENTS = {"a": "http://a.test", "b": "http://b.test"}


def settings(tmp_path: Path, **changes: Any) -> CollectSettings:
    named: list[dict[str, Any]] = [
        {"agent_ref": {"name": "b"}},
        {},
        {"agent_ref": {"type": "agent", "name": "a"}},
        {"agent_ref": None},
    ]
    rows = [{"responses_create_params": {"input": f"q{i}"}, **row} for i, row in enumerate(named)]
    (tmp_path / "in.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    given: dict[str, Any] = {
        "input": tmp_path / "in.jsonl",
        "output": tmp_path / "out.jsonl",
        "base_url": AGENTS["a"],
        "protocol": "agent",
        "agent_name": "a",
        "agent_urls": AGENTS,
        "endpoint_name": "http://head.test",
        "num_repeats": 2,
        "retry": RetryPolicy(backoff_base=0.001, dead_after=0.0),
    }
    return CollectSettings(**{**given, **changes})


def answer(request: httpx.Request) -> httpx.Response:
    """An agent that says which host it is, and what it was asked."""
    if request.method == "GET":
        return httpx.Response(404)
    asked = orjson.loads(request.content)
    output = [
        {"type": "message", "role": "assistant", "content": f"{request.url.host} as {asked['agent_ref']['name']}"}
    ]
    return httpx.Response(200, json={**asked, "response": {"output": output, "status": "completed"}, "reward": 1.0})


async def test_each_row_goes_to_the_agent_it_names(tmp_path: Path) -> None:
    """A row's own agent wins; rows without one, or with an empty one, go to --agent-name's, and carry its name."""
    result = await collect(settings(tmp_path), transport=httpx.MockTransport(answer))
    rows = [orjson.loads(line) for line in result.paths.rollouts.read_bytes().split(b"\n") if line]
    said = [(row["endpoint"], row["output"][-1]["content"]) for row in rows]
    b, a = ("http://b.test", "b.test as b"), ("http://a.test", "a.test as a")
    assert said == [b, b, a, a, a, a, a, a]


async def test_an_agent_found_at_another_port_is_the_same_run_to_resume(tmp_path: Path) -> None:
    """NeMo Gym's servers take new ports at each start: --resume must go on all the same."""
    await collect(settings(tmp_path, limit=None), transport=httpx.MockTransport(answer))
    moved = {name: f"{url}:9" for name, url in AGENTS.items()}
    again = settings(tmp_path, agent_urls=moved, base_url=moved["a"], resume=True)
    result = await collect(again, transport=httpx.MockTransport(answer))
    assert (result.rollouts, result.failed) == (8, 0)


async def test_one_agent_that_dies_ends_the_run_though_the_other_answers(tmp_path: Path) -> None:
    """Each agent has a watch of its own: another's replies must not hide that it is gone."""
    dead: list[bool] = []

    def half_dead(request: httpx.Request) -> httpx.Response:
        if request.url.host == "b.test" and (dead or request.method == "POST"):
            dead.append(True)
            raise httpx.ConnectError("connection refused")
        return answer(request)

    with pytest.raises(ServerError, match=r"http://b.test: no connection"):
        await collect(settings(tmp_path), transport=httpx.MockTransport(half_dead))
