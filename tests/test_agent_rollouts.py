"""The `agent` protocol against NeMo Gym's contract, on real sockets: whatever an agent answers is kept.

The rows are hand-written ones with all that its rollouts hold, and, where they lie beside the checkout, real files.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from collector.collecting import collect
from collector.records.tools import NEMO_GYM_PARAMS
from collector.result import CollectResult
from collector.settings import CollectSettings
from tests.nemo_gym_servers import listening
from tests.runs import QUICK, rows_of

REAL = Path(__file__).parent.parent.parent / "shared" / "nemo_gym_rollouts"
PADDING: dict[str, Any] = {"background": None, "tools": [], "tool_choice": "auto", "parallel_tool_calls": True}
QUESTION = [{"role": "user", "content": "What is the weather?", "type": "message"}]
CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "look", "arguments": '{"at": 1}'}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": '{"sun": true}'}
THOUGHT = {
    "type": "reasoning",
    "id": "rs",
    "summary": [{"type": "summary_text", "text": "hm"}],
    "encrypted_content": "e",
}
SAID = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "Sunny.", "logprobs": None}],
}


class Agent:
    """Answers `/run` of task i with the bytes `answers[i]`, and keeps what it was asked; each opens a session."""

    def __init__(self, answers: list[bytes]) -> None:
        self.answers = answers
        self.asked: list[dict[str, Any]] = []
        self.cookies: list[str] = []
        self.url = ""

    async def run(self, request: Request) -> Response:
        self.asked.append(orjson.loads(await request.body()))
        self.cookies.extend(request.cookies)
        answer = self.answers[self.asked[-1]["_ng_task_index"]]
        return Response(answer, media_type="application/json", headers={"set-cookie": "session=s1; Path=/"})


@contextmanager
def agent_with(answers: list[bytes]) -> Iterator[Agent]:
    agent = Agent(answers)
    with listening(Starlette(routes=[Route("/run", agent.run, methods=["POST"])])) as port:
        agent.url = f"http://127.0.0.1:{port}"
        yield agent


def collected(agent: Agent, folder: Path, rows: list[dict[str, Any]], **changes: Any) -> CollectResult:
    source = folder / "in.jsonl"
    source.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    given: dict[str, Any] = {"protocol": "agent", "agent_name": "a", "num_repeats": 1, "retry": QUICK, **changes}
    settings = CollectSettings(input=source, output=folder / "r.jsonl", base_url=agent.url, **given)
    return anyio.run(collect, settings)


def agents_row(*output: Any, **fields: Any) -> dict[str, Any]:
    response = {"id": "r", "object": "response", "status": "completed", "output": list(output), "created_at": 1.0}
    return {
        "responses_create_params": {**PADDING, "input": QUESTION},
        "response": response,
        "reward": 0.25,
        "agent_ref": {"name": "a"},
        **fields,
    }


def source_row(**fields: Any) -> dict[str, Any]:
    return {"responses_create_params": {"input": QUESTION[0]["content"]}, **fields}


CASES: dict[str, tuple[list[Any], list[str], list[str]]] = {
    "many turns": ([THOUGHT, CALL, RESULT, SAID], ["assistant", "tool", "assistant"], ["tool_calls", "reasoning"]),
    "a nested list": ([[CALL, [RESULT]], SAID], ["assistant", "tool", "assistant"], ["tool_calls"]),
    "two calls at once": ([CALL, {**CALL, "call_id": "c2"}, RESULT], ["assistant", "tool"], ["tool_calls"]),
    "no last message": ([SAID, CALL, RESULT], ["assistant", "tool"], ["tool_calls"]),
    "reasoning at the end": ([CALL, RESULT, THOUGHT], ["assistant", "tool", "assistant"], ["tool_calls", "reasoning"]),
    "nothing": ([], [], ["empty"]),
    "something new": ([{"type": "web_search_call", "query": "q"}, SAID], ["assistant", "assistant"], []),
}


def test_every_turn_is_kept(tmp_path: Path) -> None:
    """In `response` byte for byte, in `output` as Chat messages, whatever the items and their order."""
    answers = [agents_row(*output) for output, _, _ in CASES.values()]
    with agent_with([orjson.dumps(answer) for answer in answers]) as agent:
        result = collected(agent, tmp_path, [source_row(n=i) for i in range(len(answers))])
    rows = rows_of(result.paths.rollouts)
    for row, answer, (_, roles, flags) in zip(rows, answers, CASES.values(), strict=True):
        assert row["response"] == answer["response"]
        assert [message["role"] for message in row["output"]] == roles
        assert row.get("flags", []) == flags
    assert all(raw in result.paths.rollouts.read_bytes() for raw in (orjson.dumps(a["response"]) for a in answers))


def test_what_an_agent_adds_or_changes_is_kept(tmp_path: Path) -> None:
    """Its own fields beside ours, a source field that it changed in `reply_fields`, and the request that it made of
    ours: that alone says what the model saw. The same request padded with nulls is not kept twice."""
    rows = [source_row(verifier_metadata={"x": [1, 2]}, uuid="u") for _ in range(2)]
    changed = {**PADDING, "input": [{"role": "system", "content": "Be kind."}, *QUESTION], "temperature": 0.3}
    answers = [
        agents_row(SAID, verifier_metadata={"x": [1, 2]}, uuid="v", judge={"why": None}, usage="theirs"),
        agents_row(SAID, responses_create_params=changed, mean=1.10),
    ]
    with agent_with([orjson.dumps(answer) for answer in answers]) as agent:
        first, second = rows_of(collected(agent, tmp_path, rows).paths.rollouts)
    assert (first["verifier_metadata"], first["uuid"], first["judge"]) == ({"x": [1, 2]}, "u", {"why": None})
    assert first["reply_fields"] == {"uuid": "v", "usage": "theirs"}
    assert second["reply_fields"] == {"responses_create_params": changed}
    assert second["responses_create_params"] == {"input": QUESTION[0]["content"]}
    assert agent.asked[0]["verifier_metadata"] == {"x": [1, 2]}


def test_a_failed_row_is_a_failure_that_keeps_what_was_done(tmp_path: Path) -> None:
    """NeMo Gym's markers: never a rollout with a reward of zero, never tried again when it says so; a row with a reward
    that is none is a failure too, and the turns that were paid for stand in the failures file."""
    failed = agents_row(CALL, reward=0.0, _ng_failure_class="judge_failed", _ng_failure_terminal=True)
    answers = [orjson.dumps(failed), orjson.dumps(agents_row(SAID, reward=None), option=orjson.OPT_INDENT_2)]
    with agent_with([*answers, b"<PLACEHOLDER ROW>", orjson.dumps(agents_row(SAID))]) as agent:
        result = collected(agent, tmp_path, [source_row(n=i) for i in range(4)])
    assert [row["n"] for row in rows_of(result.paths.rollouts)] == [3]
    kept: dict[str, list[dict[str, Any]]] = {}
    for row in rows_of(result.paths.failures):
        kept.setdefault(row["failure_class"], []).append(row)
    assert [row["response"] for row in kept["judge_failed"]] == [failed]
    assert kept["bad_reward"][-1]["response"]["response"]["output"] == [SAID]
    assert all("response" not in row for row in kept["not_json"])


def test_rollouts_share_no_session(tmp_path: Path) -> None:
    """An agent opens one for each /run; a cookie that it sets would tie the next rollout to it."""
    with agent_with([orjson.dumps(agents_row(SAID))]) as agent:
        result = collected(agent, tmp_path, [source_row()], num_repeats=6, num_samples_in_parallel=2)
    assert result.rollouts == len(agent.asked) == 6
    assert agent.cookies == []


def real_rows() -> list[bytes]:
    """Every line of the real files that is a rollout; some have an empty `input`, as their agents make the prompt."""
    found = []
    for path in sorted(REAL.glob("*.jsonl")) if REAL.is_dir() else ():
        for line in path.read_bytes().split(b"\n"):
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError:
                continue
            if "response" in row:
                found.append(line)
    return found


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[bytes], Agent, list[bytes]]:
    """Each real rollout's source, as far as it shows, sent to an agent that answers with that rollout: (the real lines,
    the agent, our lines)."""
    lines = real_rows()
    if not lines:
        pytest.skip(f"no real rollouts in {REAL}")
    ours = ("response", "reward", "_ng_task_index", "_ng_rollout_index")
    rows = [{name: value for name, value in orjson.loads(line).items() if name not in ours} for line in lines]
    with agent_with(lines) as agent:
        result = collected(agent, tmp_path_factory.mktemp("real"), rows, num_repeats=2)
    assert (result.rollouts, result.failed) == (2 * len(lines), 0)
    return lines, agent, result.paths.rollouts.read_bytes().splitlines()[::2]


def test_real_rollouts_come_back_whole(replayed: tuple[list[bytes], Agent, list[bytes]]) -> None:
    """The response's bytes, the reward, and every field, under its name or among the set-aside ones."""
    split = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
    for theirs, ours in zip(replayed[0], replayed[2], strict=True):
        assert bytes(split(ours)["response"]) == bytes(split(theirs)["response"])
        row, given = orjson.loads(ours), orjson.loads(theirs)
        aside = {**row.get("source_fields", {}), **row.get("reply_fields", {})}
        for name, value in given.items():
            if name not in ("response", "responses_create_params", "_ng_task_index", "_ng_rollout_index"):
                assert value in (row.get(name), aside.get(name)), name
        assert "responses_create_params" not in aside
        assert row["responses_create_params"]["input"] == given["responses_create_params"]["input"]


def test_every_word_of_a_real_response_stands_in_the_output(replayed: tuple[list[bytes], Agent, list[bytes]]) -> None:
    """Texts, reasoning, calls with their arguments and ids, and results: each is in one of the Chat messages."""
    for theirs, ours in zip(replayed[0], replayed[2], strict=True):
        said = "\x00".join(texts(orjson.loads(ours)["output"]))
        for item in orjson.loads(theirs)["response"]["output"]:
            for name in ("content", "summary", "arguments", "name", "call_id", "output"):
                parts = item.get(name)
                wanted = [part.get("text") for part in parts] if isinstance(parts, list) else [parts]
                assert all(text in said for text in wanted if text), (item["type"], name)


def test_real_rows_are_asked_as_nemo_gym_takes_them(replayed: tuple[list[bytes], Agent, list[bytes]]) -> None:
    """Only parameters that it knows, none of them null, the indices and the agent: anything else is a 422 there."""
    for body in replayed[1].asked:
        params = body["responses_create_params"]
        assert params.keys() <= {*NEMO_GYM_PARAMS, "input"}
        assert None not in params.values()
        assert body["agent_ref"]["name"]
        assert (type(body["_ng_task_index"]), body["_ng_rollout_index"] in (0, 1)) == (int, True)


def texts(value: Any) -> Iterator[str]:
    """Every string of a JSON value."""
    if isinstance(value, str):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(part)
