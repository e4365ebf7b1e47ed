"""Several samples with one request: what comes back is checked, and what does not is asked for again."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.collecting import collect
from tests.model_server import ModelServer
from tests.runs import Notes, assert_sealed, prompts, settings


@pytest.mark.parametrize("parallel", [1, 16])
async def test_one_request_brings_several_rollouts(tmp_path: Path, parallel: int) -> None:
    """Five repeats, three to a request: two requests a prompt; each rollout has its own text and its request's seed."""
    prompts(tmp_path / "in.jsonl", 10)
    server = ModelServer(most_samples=8)
    with server.serving():
        asked = settings(tmp_path, server, num_repeats=5, samples_per_request=3, num_samples_in_parallel=parallel)
        result = await collect(asked)
    rows = assert_sealed(result, 5)
    assert (len(rows), server.requests) == (50, 20)
    assert sorted(body.get("n", 1) for body in server.bodies) == [2] * 10 + [3] * 10
    assert {row["seed"] for row in rows} == {body["seed"] for body in server.bodies}
    assert all(len({row["output"][-1]["content"] for row in rows[at : at + 3]}) == 3 for at in range(0, 50, 5))


async def test_fewer_samples_than_asked_for_are_made_up_for(tmp_path: Path) -> None:
    """The rest is asked for again; rows that came with too few others say so, and the user is told once."""
    prompts(tmp_path / "in.jsonl", 6)
    server, watching = ModelServer(most_samples=2), Notes()
    with server.serving():
        result = await collect(settings(tmp_path, server, samples_per_request=4), observer=watching)
    rows = assert_sealed(result, 4)
    assert (len(rows), server.requests, result.failed) == (24, 12, 0)
    assert sorted(body.get("n", 1) for body in server.bodies) == [2] * 6 + [4] * 6
    assert result.flags["n_ignored"] == sum("n_ignored" in row.get("flags", ()) for row in rows) == 12
    told = [note for note in watching.notes if "samples" in note]
    assert told == ["2 of 4 samples came back for one request: the rest is asked for again"]


async def test_a_server_that_ignores_n_is_asked_for_one_from_then_on(tmp_path: Path) -> None:
    """One request finds out (with one in flight); nothing is lost or doubled."""
    prompts(tmp_path / "in.jsonl", 5)
    server, watching = ModelServer(), Notes()
    with server.serving():
        asked = settings(tmp_path, server, samples_per_request=4, num_samples_in_parallel=1)
        result = await collect(asked, observer=watching)
    assert len(assert_sealed(result, 4)) == 20
    assert [body.get("n", 1) for body in server.bodies] == [4] + [1] * 19
    assert result.flags["n_ignored"] == 1
    assert len({body["seed"] for body in server.bodies}) == 20
    assert [note for note in watching.notes if "one request: each sample is a request of its own" in note]


async def test_a_request_for_several_that_fails_is_made_again_for_all(tmp_path: Path) -> None:
    """Each rollout's failed attempt is on record."""
    prompts(tmp_path / "in.jsonl", 8)
    server = ModelServer(most_samples=4, fault_every=3)
    with server.serving():
        result = await collect(settings(tmp_path, server, samples_per_request=4, num_samples_in_parallel=2))
    assert len(assert_sealed(result, 4)) == 32
    assert sum(result.retries.values()) == 4 * (server.requests - 8) > 0


async def test_identical_samples_are_flagged_counted_and_said(tmp_path: Path) -> None:
    """The server ignores the seed: all but the first of each prompt carry the flag, and a note says it."""
    prompts(tmp_path / "in.jsonl", 60)
    server, watching = ModelServer(one_answer=True), Notes()
    with server.serving():
        result = await collect(settings(tmp_path, server), observer=watching)
    rows = assert_sealed(result, 4)
    assert sum("identical" in row.get("flags", ()) for row in rows) == result.flags["identical"] == 180
    assert len([note for note in watching.notes if "ignore the seed" in note]) == 1
