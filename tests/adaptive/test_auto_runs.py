"""Whole runs whose limit finds itself: what reaches the server, what is on disk, and that nothing is lost."""

from __future__ import annotations

import asyncio
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import orjson
import pytest

from collector.adaptive.changes import LimitChange
from collector.adaptive.gradient import HARD_MAX
from collector.adaptive.log import limits_path
from collector.cli import print_collected
from collector.collecting import collect
from collector.errors import OutputError, ServerError
from collector.journal import StreamPaths, check_output
from collector.result import CollectResult
from collector.settings import CollectSettings, RetryPolicy
from collector.stopping import StopSwitch
from tests.faulty_server import chat_body
from tests.model_server import ModelServer
from tests.runs import Notes, assert_sealed, prompts, rows_of, server_process
from tests.runs import settings as settings_of


@pytest.fixture(autouse=True)
def _quick_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collector.adaptive.steering._POLL", 0.005)


@dataclass
class Batch:
    """A server that runs `slots` requests, lets the others wait, and shows both. What runs ends with the next reading
    of its metrics: its pace is theirs, and no test depends on a clock. The first `refuse_first` are refused at once."""

    slots: int
    waiters: list[asyncio.Future[None]] = field(default_factory=list)
    most: int = 0
    refuse_first: int = 0
    retry_after: str = "0"
    refused: int = 0
    taken_at: float | None = None
    """When the first was not refused, on the loop's clock."""
    all_refused: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/metrics":
            return httpx.Response(200, text=self._metrics())
        if request.method == "GET":
            return httpx.Response(200, json={"object": "list", "data": [{"id": "m"}]})
        if self.refused < self.refuse_first:
            self.refused += 1
            if self.refused == self.refuse_first:
                self.all_refused.set()
            await self.all_refused.wait()
            return httpx.Response(429, headers={"retry-after": self.retry_after})
        loop = asyncio.get_running_loop()
        self.taken_at = self.taken_at or loop.time()
        waiter = loop.create_future()
        self.waiters.append(waiter)
        self.most = max(self.most, len(self.waiters))
        await waiter
        return httpx.Response(200, json=chat_body("4"))

    def _metrics(self) -> str:
        running = min(self.slots, len(self.waiters))
        waiting = len(self.waiters) - running
        for waiter in self.waiters[:running]:
            waiter.set_result(None)
        del self.waiters[:running]
        return f"vllm:num_requests_running {running}\nvllm:num_requests_waiting {waiting}\n"


def answer_at_once(request: httpx.Request) -> httpx.Response:
    """A server that nobody should ask for its metrics."""
    assert request.url.path != "/metrics"
    if request.method == "GET":
        return httpx.Response(200, json={"object": "list", "data": [{"id": "m"}]})
    return httpx.Response(200, json=chat_body("4"))


class Changes(Notes):
    """Keeps what it was told of the limits."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: list[LimitChange] = []

    def limit_changed(self, change: LimitChange) -> None:
        self.changes.append(change)


def settings(tmp_path: Path, rows: int, **changes: Any) -> CollectSettings:
    prompts(tmp_path / "in.jsonl", rows)
    given: dict[str, Any] = {
        "input": tmp_path / "in.jsonl",
        "output": tmp_path / "rollouts.jsonl",
        "base_url": "http://batch.test/v1",
        "num_repeats": 2,
        "num_samples_in_parallel": 400,
        "parallel_min": 1,
        "retry": RetryPolicy(backoff_base=0.01, backoff_cap=0.02),
    }
    return CollectSettings(**{**given, **changes})


def logged(result: CollectResult) -> list[dict[str, Any]]:
    """The log: of each endpoint every line begins where the one before ended, the first at 0."""
    lines = rows_of(limits_path(result.paths.rollouts))
    at: dict[str, int] = {}
    for line in lines:
        assert line["old"] == (0 if line["reason"] == "start" else at[line["endpoint"]])
        at[line["endpoint"]] = line["new"]
    return lines


async def test_the_limit_comes_down_to_what_the_server_runs(tmp_path: Path) -> None:
    """Eight slots behind a first limit of 32: cut to them and a little, told, logged, and in the run file."""
    server, seen = Batch(slots=8), Changes()
    result = await collect(settings(tmp_path, 200), transport=httpx.MockTransport(server), observer=seen)
    assert (result.rollouts, result.failed, server.most) == (400, 0, 32)
    assert result.limits is not None
    assert result.limits.lowest <= 12
    assert result.limits.highest == 32
    lines = logged(result)
    assert (lines[0]["new"], lines[0]["reason"]) == (32, "start")
    assert [(change.old, change.new) for change in seen.changes] == [(line["old"], line["new"]) for line in lines[1:]]
    assert any("waiting" in change.reason for change in seen.changes)
    counts = orjson.loads(result.paths.run.read_bytes())["counts"]["parallel"]
    assert counts == {
        "lowest": result.limits.lowest, "highest": 32, "last": result.limits.last, "changes": len(seen.changes),
    }  # fmt: skip


async def test_the_end_of_a_run_says_what_the_limit_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lowest, highest and last, so that the next run may be given a number."""
    result = await collect(settings(tmp_path, 30), transport=httpx.MockTransport(Batch(slots=8)))
    print_collected(result)
    assert result.limits is not None
    used = result.limits
    out = capsys.readouterr().out
    assert re.search(rf"\nrequests in flight: {used.lowest} to 32, {used.last} at the end [▁▂▃▄▅▆▇█]{{32}}\n", out)


async def test_a_limit_that_never_changed_is_one_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run too short to find anything out says so in few words."""
    given = settings(tmp_path, 2, num_samples_in_parallel=8, parallel_min=7)
    print_collected(await collect(given, transport=httpx.MockTransport(Batch(slots=8))))
    assert "\nrequests in flight: up to 8 all the time\n" in capsys.readouterr().out


async def test_it_grows_where_nothing_waits_and_the_workers_with_it(tmp_path: Path) -> None:
    """A server for hundreds: far more than the first 32 are out at once, never more than the upper bound."""
    server = Batch(slots=1000)
    given = settings(tmp_path, 600, num_samples_in_parallel=150)
    result = await collect(given, transport=httpx.MockTransport(server))
    assert (result.rollouts, server.most, result.high_water) == (1200, 150, 150)
    assert result.limits is not None
    assert result.limits.last == 150


async def test_more_tasks_than_slots_are_not_needed(tmp_path: Path) -> None:
    """Three tasks behind a limit of 32: three workers, and an end."""
    with anyio.fail_after(20):
        result = await collect(settings(tmp_path, 3, num_repeats=1), transport=httpx.MockTransport(Batch(slots=2)))
    assert (result.rollouts, result.high_water) == (3, 3)


async def test_a_server_without_metrics_is_told_of_and_kept_low(tmp_path: Path) -> None:
    """One warning, and the hard maximum of the gradient."""
    prompts(tmp_path / "in.jsonl", 120)
    server, seen = ModelServer(), Changes()
    with server.serving():
        given = settings_of(tmp_path, server, num_samples_in_parallel=1024, parallel_min=1)
        result = await collect(given, observer=seen)
    assert_sealed(result, 4)
    assert [note for note in seen.notes if "/metrics" in note and str(HARD_MAX) in note]
    assert server.high_water <= HARD_MAX


async def test_it_holds_with_faults_a_dead_endpoint_and_several_samples_a_request(tmp_path: Path) -> None:
    """Everything at once: faults of all kinds, one of three servers gone from the start; nothing is lost."""
    prompts(tmp_path / "in.jsonl", 80)
    first = ModelServer(latency=(0.0, 0.005), fault_every=6, most_samples=2)
    second = ModelServer(latency=(0.0, 0.005), most_samples=2)
    with server_process() as (_, gone):
        pass
    with first.serving(), second.serving():
        given = settings_of(
            tmp_path,
            first,
            replica_urls=(second.url, gone),
            num_samples_in_parallel=64,
            parallel_min=4,
            samples_per_request=2,
            retry=RetryPolicy(max_attempts=9, backoff_base=0.01, backoff_cap=0.05, dead_after=30.0),
        )
        with anyio.fail_after(60):
            result = await collect(given)
    assert len(assert_sealed(result, 4)) == 320
    assert {line["endpoint"] for line in logged(result)} == {first.url, second.url, gone}
    assert first.high_water + second.high_water <= 64


async def test_refusals_with_a_retry_after_hold_the_endpoint(tmp_path: Path) -> None:
    """Of 32 requests that are refused together none comes back before its second is over, and no other goes out."""
    server = Batch(slots=1000, refuse_first=32, retry_after="1")
    began = asyncio.get_running_loop().time()
    result = await collect(settings(tmp_path, 100), transport=httpx.MockTransport(server))
    assert (result.rollouts, server.refused) == (200, 32)
    assert server.taken_at is not None
    assert server.taken_at - began >= 1.0
    assert result.limits is not None
    assert result.limits.lowest == 22


async def test_a_run_that_is_held_can_be_stopped(tmp_path: Path) -> None:
    """The server asks for half a minute: Ctrl-C does not wait for it."""
    stop = StopSwitch()
    server = Batch(slots=8, refuse_first=32, retry_after="30")

    async def throw() -> None:
        await server.all_refused.wait()
        await anyio.sleep(0.1)
        stop.throw()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(throw)
            result = await collect(settings(tmp_path, 100), transport=httpx.MockTransport(server), stop=stop)
    assert (result.interrupted, result.rollouts) == (True, 0)


async def test_a_fixed_run_goes_on_with_auto_and_back(tmp_path: Path) -> None:
    """Parallelism is no part of what a run is: --resume takes either, and the log goes on."""
    transport, at_once = httpx.MockTransport(Batch(slots=8)), httpx.MockTransport(answer_at_once)
    await collect(settings(tmp_path, 10, limit=2), transport=transport)
    given = settings(tmp_path, 10, limit=4, resume=True, num_samples_in_parallel=3, parallel_min=None)
    fixed = await collect(given, transport=at_once)
    assert (fixed.rollouts, fixed.limits) == (8, None)
    result = await collect(settings(tmp_path, 10, resume=True), transport=transport)
    assert (result.rollouts, result.resumed) == (20, 8)
    assert [line["reason"] for line in logged(result)].count("start") == 2


async def test_a_fixed_run_over_an_auto_one_leaves_no_log_of_it(tmp_path: Path) -> None:
    """What --overwrite discards has its limits discarded with it."""
    result = await collect(settings(tmp_path, 10), transport=httpx.MockTransport(Batch(slots=8)))
    assert logged(result)
    given = settings(tmp_path, 10, overwrite=True, parallel_min=None, num_samples_in_parallel=3)
    await collect(given, transport=httpx.MockTransport(answer_at_once))
    assert not limits_path(result.paths.rollouts).exists()


async def test_a_log_that_cannot_be_written_costs_a_note_and_no_rollout(tmp_path: Path) -> None:
    """Where its name is a folder's, since the output was checked: the run goes on."""

    class InTheWay(Changes):
        def found(self, *_: Any) -> None:
            (tmp_path / "rollouts_limits.jsonl").mkdir()

    seen = InTheWay()
    result = await collect(settings(tmp_path, 20), transport=httpx.MockTransport(Batch(slots=8)), observer=seen)
    assert result.rollouts == 40
    assert len([note for note in seen.notes if "rollouts_limits.jsonl: cannot be written" in note]) == 1


def test_a_log_that_is_no_file_of_ours_is_refused(tmp_path: Path) -> None:
    """A pipe would hold the run for ever, and a link's target would be written over."""
    log = limits_path(tmp_path / "rollouts.jsonl")
    os.mkfifo(log)
    with pytest.raises(OutputError, match=r"rollouts_limits\.jsonl: is not a regular file"):
        check_output(StreamPaths.for_output(tmp_path / "rollouts.jsonl"), resume=False, overwrite=True)
    log.unlink()
    log.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match=r"rollouts_limits\.jsonl: is a symbolic link"):
        check_output(StreamPaths.for_output(tmp_path / "rollouts.jsonl"), resume=True, overwrite=False)


def _refusing(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"data": [{"id": "m"}]}) if request.method == "GET" else httpx.Response(400)


async def test_an_overwrite_without_a_rollout_keeps_the_limits_too(tmp_path: Path) -> None:
    """The old run is put back whole: its log as well, though the new run's limit was fixed."""
    await collect(settings(tmp_path, 20), transport=httpx.MockTransport(Batch(slots=8)))
    log = limits_path(tmp_path / "rollouts.jsonl")
    before = log.read_bytes()
    hopeless = replace(settings(tmp_path, 20), overwrite=True, parallel_min=None)
    with pytest.raises(ServerError, match="all failed"):
        await collect(hopeless, transport=httpx.MockTransport(_refusing))
    assert log.read_bytes() == before
