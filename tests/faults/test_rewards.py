"""Rewards that are none, from a function, a verifier's server and an agent: a failure with a reason, never a score."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.faults.commands import Commands, Done
from tests.faults.runs import rows_in
from tests.faulty_server import Exchange, FaultyServer, chat_body, reply

NO_REWARDS = ("NaN", "Infinity", "-Infinity", "1e309", "-1e309", "null", '"0.5"', '"NaN"', "[]", "{}")
REWARDS = ("0.5", "0", "-3", "1e-300", "12345678901234567890123")
_FUNCTION = """
import json
def score(row, text):
    return json.loads(row["given"])
"""


async def _serve(exchange: Exchange) -> None:
    """A model, a verifier and an agent in one. The reward that a row names in `given` is put into the answer as text,
    so that it may be what no JSON library writes."""
    if exchange.path.endswith("/models"):
        await reply(200, {"data": [{"id": "m"}]})(exchange)
    elif exchange.path.endswith("/chat/completions"):
        await reply(200, chat_body())(exchange)
    elif exchange.path.endswith("/verify"):
        given = exchange.json()["given"]
        await reply(200, f'{{"reward": {given}}}' if given else "{}")(exchange)
    elif exchange.path.endswith("/run"):
        given = exchange.json()["given"]
        message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hello"}]}
        response = json.dumps({"id": "r", "object": "response", "output": [message]})
        await reply(200, f'{{"response": {response}' + (f', "reward": {given}}}' if given else "}"))(exchange)
    else:
        await reply(404, {})(exchange)


@pytest.fixture
async def server() -> AsyncIterator[FaultyServer]:
    async with FaultyServer(_serve) as server:
        yield server


def _words(kind: str, folder: Path, url: str) -> list[str | Path]:
    (folder / "mine.py").write_text(_FUNCTION)
    scored: dict[str, list[str | Path]] = {
        "function": ["--base-url", f"{url}/v1", "--verifier", f"python:{folder / 'mine.py'}:score"],
        "http": ["--base-url", f"{url}/v1", "--verifier", f"http:{url}"],
        "agent": ["--agent-name", "an_agent", "--agent-url", url],
    }
    return ["collect", "--input", folder / "in.jsonl", "--output", folder / "out" / "r.jsonl", "--max-attempts", "1",
            "--num-repeats", "2", *scored[kind]]  # fmt: skip


def _write(path: Path, rewards: list[str]) -> None:
    rows: list[dict[str, Any]] = [{"responses_create_params": {"input": "x"}, "given": given} for given in rewards]
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))


async def _collect(kind: str, folder: Path, pairmill: Commands, url: str) -> Done:
    return await asyncio.to_thread(pairmill.run, *_words(kind, folder, url))


@pytest.mark.parametrize("kind", ["function", "http", "agent"])
async def test_what_is_no_number_is_a_failure_and_what_is_one_is_kept(
    tmp_path: Path, pairmill: Commands, server: FaultyServer, kind: str
) -> None:
    """Every row ends up in exactly one place; no rollout carries a null, an infinite or a made-up reward; the answer
    that cost tokens stands in the failures file; the exit code says that some failed."""
    _write(tmp_path / "in.jsonl", [*REWARDS, *NO_REWARDS])
    done = await _collect(kind, tmp_path, pairmill, server.url)
    assert done.code == 3, done.err
    assert "Traceback" not in done.err
    rows = rows_in(tmp_path / "out" / "r.jsonl")
    assert [(row["given"], row["reward"]) for row in rows] == [
        (given, float(given)) for given in REWARDS for _ in range(2)
    ]
    failures = rows_in(tmp_path / "out" / "r_failures.jsonl")
    assert {row["_ng_task_index"] for row in failures} == set(range(len(REWARDS), len(REWARDS) + len(NO_REWARDS)))
    assert len(failures) == 2 * len(NO_REWARDS)
    assert all(row["final"] for row in failures)
    assert all(row["message"].isprintable() for row in failures)
    assert b"NaN" not in (tmp_path / "out" / "r.jsonl").read_bytes()


@pytest.mark.parametrize(("kind", "reward"), [("function", 1.0), ("http", None), ("agent", None)])
async def test_true_is_one_from_a_function_and_nothing_from_a_server(
    tmp_path: Path, pairmill: Commands, server: FaultyServer, kind: str, reward: float | None
) -> None:
    """A function may end in a comparison; a server that says `true` where the contract has a number is wrong."""
    _write(tmp_path / "in.jsonl", ["true", "0.5"])
    assert (await _collect(kind, tmp_path, pairmill, server.url)).code == (3 if reward is None else 0)
    rows = rows_in(tmp_path / "out" / "r.jsonl")
    assert [row["reward"] for row in rows if row["given"] == "true"] == ([] if reward is None else [reward] * 2)


@pytest.mark.parametrize("kind", ["http", "agent"])
async def test_an_answer_without_a_reward_is_no_zero(
    tmp_path: Path, pairmill: Commands, server: FaultyServer, kind: str
) -> None:
    """A verifier's server must score, so it failed; an agent need not, and its rollout carries no reward at all."""
    _write(tmp_path / "in.jsonl", ["", "0.5"])
    done = await _collect(kind, tmp_path, pairmill, server.url)
    rows = rows_in(tmp_path / "out" / "r.jsonl")
    if kind == "agent":
        assert done.code == 0
        assert [row.get("reward") for row in rows] == [None, None, 0.5, 0.5]
        assert "reward" not in rows[0]
    else:
        assert done.code == 3
        assert [row["reward"] for row in rows] == [0.5, 0.5]


_BY_SEED = """
def score(row, text):
    rewards = row["rewards"]
    reward = rewards[score.calls.setdefault(row["name"], 0)]
    score.calls[row["name"]] += 1
    if reward is None:
        raise ValueError("no reward for this one")
    return reward
score.calls = {}
"""


async def test_groups_that_are_equal_tied_or_short_of_a_member(
    tmp_path: Path, pairmill: Commands, server: FaultyServer
) -> None:
    """All equal: no pair, and said. Ties: one pair of the two ends. A missing member: the others pair all the same."""
    groups = {"equal": [1, 1, 1, 1], "tied": [1, 0, 1, 0], "short": [0, None, 1, 1], "alone": [None, None, 1, None]}
    rows = [{"prompt": f"about {name}", "name": name, "rewards": given} for name, given in groups.items()]
    (tmp_path / "in.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    (tmp_path / "mine.py").write_text(_BY_SEED)
    words = [
        "run", "--input", "in.jsonl", "--output-dir", "out", "--base-url", f"{server.url}/v1", "--verifier",
        "python:mine.py:score", "--num-samples-in-parallel", "1", "--no-guards",
    ]  # fmt: skip
    done = await asyncio.to_thread(pairmill.run, *words, folder=tmp_path)
    assert done.code == 3, done.err + done.out
    out = tmp_path / "out"
    assert {row["name"] for row in rows_in(out / "rollouts.jsonl")} == {"equal", "tied"}
    aside = rows_in(out / "rollouts_incomplete.jsonl")
    assert [(row["name"], row["_incomplete"]) for row in aside] == [
        *[("short", "1 of 4 rollouts missing: 1")] * 3,
        ("alone", "3 of 4 rollouts missing: 0, 1, 3"),
    ]
    pairs = rows_in(out / "pairs.jsonl")
    told = [(pair["prompt"][0]["content"], pair["meta"]) for pair in pairs]
    assert [(prompt, meta["chosen_reward"], meta["rejected_reward"]) for prompt, meta in told] == [
        ("about tied", 1.0, 0.0),
        ("about short", 1.0, 0.0),
    ]
    assert "all_equal" in done.out
