"""Judges that are slow, or do not answer at all: they hold no slot, and what waits for them is bounded, not lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from collector.collecting import collect
from collector.errors import ServerError
from collector.judging import most_beside
from collector.settings import RetryPolicy
from collector.stopping import StopSwitch
from tests import faulty_server as fs
from tests.faulty_server import FaultyServer
from tests.model_server import ModelServer
from tests.runs import QUICK, Notes, assert_sealed, prompts, rows_of, settings, until


class Judge:
    """A verifier that answers nothing until it is let go."""

    def __init__(self) -> None:
        self.waiting = 0
        self.most = 0
        self.go_on = anyio.Event()


bench: list[Judge] = []


"""The judge of the test that runs."""


async def score(row: dict[str, Any], text: str) -> float:
    judge = bench[0]
    judge.waiting += 1
    judge.most = max(judge.most, judge.waiting)
    await judge.go_on.wait()
    judge.waiting -= 1
    return 1.0


@pytest.fixture
def judge() -> Iterator[Judge]:
    bench[:] = [Judge()]
    yield bench[0]
    bench.clear()


SLOW = "python:tests.test_collect_judges:score"


async def test_judges_that_do_not_answer_do_not_stop_the_generation(tmp_path: Path, judge: Judge) -> None:
    """Every reply is there before the first verdict: slow judges hold no slot, and as many are in flight as ever."""
    prompts(tmp_path / "in.jsonl", 100)
    server = ModelServer(hold=8)

    async def let_go() -> None:
        await until(lambda: judge.waiting == 400)
        judge.go_on.set()

    with server.serving():
        async with anyio.create_task_group() as group:
            group.start_soon(let_go)
            result = await collect(settings(tmp_path, server, verifier=SLOW, num_samples_in_parallel=8))
    assert (result.rollouts, result.high_water, server.high_water, judge.most) == (400, 8, 8, 400)
    assert_sealed(result, 4)


async def test_a_stop_knows_how_many_replies_wait_for_a_judge(tmp_path: Path, judge: Judge) -> None:
    """Whoever stops a run can be told how much there is still to judge: the switch counts it."""
    prompts(tmp_path / "in.jsonl", 10)
    server, stop = ModelServer(), StopSwitch()
    counted: list[int] = []

    async def let_go() -> None:
        await until(lambda: judge.waiting == 40)
        counted.append(stop.to_judge())
        judge.go_on.set()

    with server.serving():
        async with anyio.create_task_group() as group:
            group.start_soon(let_go)
            await collect(settings(tmp_path, server, verifier=SLOW), stop=stop)
    assert (counted, stop.to_judge()) == ([40], 0)


async def test_replies_that_wait_for_a_judge_are_bounded(tmp_path: Path, judge: Judge) -> None:
    """A judge that answers nothing at all holds the run up once so many replies are in memory, and no sooner."""
    prompts(tmp_path / "in.jsonl", 300)
    server = ModelServer()
    most = most_beside(8)

    async def let_go() -> None:
        await until(lambda: judge.waiting >= most)
        judge.go_on.set()

    with server.serving():
        async with anyio.create_task_group() as group:
            group.start_soon(let_go)
            result = await collect(settings(tmp_path, server, verifier=SLOW, num_samples_in_parallel=8))
    assert result.rollouts == 1200
    assert most <= judge.most <= most + 8


async def test_replies_that_wait_for_a_judge_outlive_the_server(tmp_path: Path, judge: Judge) -> None:
    """The server is gone for good while all of its replies are still to be judged: they cost tokens, and are kept."""
    prompts(tmp_path / "in.jsonl", 240)
    server, watching = ModelServer(), Notes()

    async def let_go() -> None:
        await until(lambda: judge.waiting >= 12)
        server.take_down()
        await until(lambda: any("no connection" in note for note in watching.notes))
        await anyio.sleep(2 * QUICK.dead_after)
        judge.go_on.set()

    async def run() -> None:
        with pytest.raises(ServerError, match="no connection for 0.5 seconds"):
            await collect(settings(tmp_path, server, verifier=SLOW, num_samples_in_parallel=2), observer=watching)

    server.latency = (0.02, 0.03)
    with server.serving():
        async with anyio.create_task_group() as group:
            group.start_soon(let_go)
            group.start_soon(run)
    assert len(rows_of(tmp_path / "out" / "rollouts.jsonl")) == judge.most >= 12


async def test_large_replies_that_wait_for_a_judge_are_bounded_in_bytes(
    tmp_path: Path, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts of 100,000 characters come back in the answers: ten of them fill a megabyte, and nothing more begins."""
    monkeypatch.setattr("collector.outcomes.MOST_BESIDE_BYTES", 1_000_000)
    prompts(tmp_path / "in.jsonl", 40, word="x" * 100_000)
    server = ModelServer()
    asked_before = -1

    async def let_go() -> None:
        nonlocal asked_before
        while not server.requests or server.requests != asked_before:
            asked_before = server.requests
            await anyio.sleep(0.3)
        judge.go_on.set()

    with server.serving():
        async with anyio.create_task_group() as group:
            group.start_soon(let_go)
            result = await collect(settings(tmp_path, server, num_repeats=1, verifier=SLOW, num_samples_in_parallel=4))
    assert result.rollouts == 40
    assert 10 <= asked_before <= 10 + 4


async def test_a_server_that_leaves_when_all_is_asked_is_not_missed(tmp_path: Path, judge: Judge) -> None:
    """The last request fails for good as the server goes; judges that outlast its `dead_after` end in a sealed run."""
    prompts(tmp_path / "in.jsonl", 3)
    models = fs.reply(200, {"object": "list", "data": [{"id": "m"}]})
    retry = RetryPolicy(max_attempts=1, dead_after=0.2)

    async def let_go(server: FaultyServer) -> None:
        await until(lambda: judge.waiting == 2)
        before = -1
        while len(server.requests) != before:  # until it is asked in vain no more
            before = len(server.requests)
            await anyio.sleep(0.6)
        judge.go_on.set()

    async with FaultyServer(models, fs.chat("1"), fs.chat("2"), fs.reset_before_reply) as server:
        given = settings(tmp_path, ModelServer(url=server.url), verifier=SLOW, num_repeats=1, retry=retry)
        async with anyio.create_task_group() as group:
            group.start_soon(let_go, server)
            result = await collect(replace(given, num_samples_in_parallel=1))
    assert (result.rollouts, result.failures) == (2, {"connection_lost": 1})
    assert result.seal is not None
