"""Several samples with one request: what comes back is checked, and what does not is asked for again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collector.collecting import collect
from collector.errors import UsageError
from collector.protocols.chat import ChatProtocol
from collector.summary import summarise
from tests.model_server import ModelServer
from tests.runs import Notes, assert_sealed, prompts, rows_of, settings


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


@pytest.mark.parametrize("asked_for", [1, 2])
async def test_more_samples_than_asked_for_are_flagged_and_counted(tmp_path: Path, asked_for: int) -> None:
    """Those beyond are no rollouts; the flag says that there were some, and the run's summary counts it."""
    prompts(tmp_path / "in.jsonl", 3)
    server = ModelServer(most_samples=4, extra_samples=1)
    with server.serving():
        result = await collect(settings(tmp_path, server, samples_per_request=asked_for))
    rows = _sealed_keys(rows_of(result.paths.rollouts))
    assert rows == [(task, repeat) for task in range(3) for repeat in range(4)]
    assert result.flags["extra_choices"] == 12
    assert summarise(result.paths.rollouts).flags["extra_choices"] == 12
    assert server.requests == 12 // asked_for


def _sealed_keys(rows: list[dict[str, Any]]) -> list[tuple[int, int]]:
    return [(row["_ng_task_index"], row["_ng_rollout_index"]) for row in rows]


async def test_a_protocol_without_several_samples_is_refused_by_collect_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the protocol says of itself counts, before anything is opened or asked."""
    monkeypatch.setattr(ChatProtocol, "several", False)
    prompts(tmp_path / "in.jsonl", 1)
    with pytest.raises(UsageError, match="--samples-per-request: --protocol chat has no request for several"):
        await collect(settings(tmp_path, ModelServer(url="http://127.0.0.1:9/v1"), samples_per_request=2))
    assert not (tmp_path / "out").exists()


async def test_identical_samples_are_flagged_counted_and_said(tmp_path: Path) -> None:
    """The server ignores the seed: all but the first of each prompt carry the flag, and a note says it."""
    prompts(tmp_path / "in.jsonl", 60)
    server, watching = ModelServer(one_answer=True), Notes()
    with server.serving():
        result = await collect(settings(tmp_path, server), observer=watching)
    rows = assert_sealed(result, 4)
    assert sum("identical" in row.get("flags", ()) for row in rows) == result.flags["identical"] == 180
    assert len([note for note in watching.notes if "ignore the seed" in note]) == 1
