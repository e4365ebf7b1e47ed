"""What holds a slot and what does not: the disk, retries, a server that stands still, a stop on the way."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import anyio
import httpx
import orjson
import pytest

from collector.collecting import collect
from collector.errors import OutputError, ServerError
from collector.journal.disk import Disk
from collector.settings import RetryPolicy, Timeouts
from collector.stopping import StopSwitch
from tests.model_server import ModelServer
from tests.runs import QUICK, Notes, assert_sealed, prompts, rows_of, server_process, settings, until


class StuckDisk(Disk):
    """A disk whose first commits hang until it is let go, and then work, or fail."""

    def __init__(self, *, fails: bool = False) -> None:
        self.go_on = threading.Event()
        self.fails = fails

    def write(self, fd: int, data: bytes | memoryview, offset: int) -> int:
        if b"_ng_task_index" in bytes(data[:100]):
            self.go_on.wait(60)
            if self.fails:
                raise OSError(28, os.strerror(28))
        return super().write(fd, data, offset)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_disk_that_hangs_stops_the_requests_before_memory_grows(tmp_path: Path, fails: bool) -> None:
    """With so many bytes not yet durable no request begins; nothing is counted before it is on disk. A disk that then
    fails ends the run with its error."""
    prompts(tmp_path / "in.jsonl", 400, word="x" * 100_000)
    server, disk, watching = ModelServer(), StuckDisk(fails=fails), Notes()
    counted: list[Any] = []
    watching.rollout = lambda *about: counted.append(about)  # type: ignore[method-assign]
    seen: list[tuple[int, int]] = []

    async def run() -> None:
        asked = settings(tmp_path, server, num_repeats=1, num_samples_in_parallel=8, verifier="contains:field=id")
        result = await collect(asked, observer=watching, disk=disk)
        assert (result.rollouts, len(counted)) == (400, 400)

    async def let_go() -> None:
        before = -1
        while not server.requests or server.requests != before:  # until the server has not been asked for a while
            before = server.requests
            await anyio.sleep(0.3)
        seen.append((server.requests, len(counted)))
        disk.go_on.set()

    with server.serving():
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(let_go)
                group.start_soon(run)
        except* OutputError as errors:
            assert fails
            assert "No space left" in str(errors.exceptions[0])
            assert not counted
        else:
            assert not fails
    requests, on_disk = seen[0]
    assert on_disk == 0
    assert 11 <= requests <= 11 + 8  # 4 MiB of rows that hold their prompt four times, and one more for each slot


async def test_a_rollout_that_backs_off_leaves_its_slot(tmp_path: Path) -> None:
    """One slot, every first request turned away: while those wait for their time, others are asked for."""
    prompts(tmp_path / "in.jsonl", 6)
    server = ModelServer(busy_first="0.2")
    with server.serving():
        result = await collect(settings(tmp_path, server, num_repeats=1, num_samples_in_parallel=1))
    assert server.prompts[:6] == [f"question {number}" for number in range(6)]
    assert (result.rollouts, result.high_water, result.retries) == (6, 1, {"http_429": 6})
    assert {row["attempt"] for row in assert_sealed(result, 1)} == {2}


async def test_a_server_that_turns_all_away_does_not_get_the_whole_input(tmp_path: Path) -> None:
    """With as many waiting for another try as may, nothing fresh begins."""
    prompts(tmp_path / "in.jsonl", 200)
    server = ModelServer(busy_first="1")
    stop = StopSwitch()
    with server.serving():
        asked = settings(tmp_path, server, num_repeats=1, num_samples_in_parallel=10, retry=RetryPolicy())

        async def stop_later() -> None:
            await until(lambda: server.requests >= 20)
            await anyio.sleep(0.3)  # the first may come again after a second
            assert server.requests < 40
            stop.throw()

        async with anyio.create_task_group() as group:
            group.start_soon(stop_later)
            result = await collect(asked, stop=stop)
    assert result.interrupted


async def test_a_stop_does_not_wait_for_rollouts_that_back_off(tmp_path: Path) -> None:
    """What is in flight is kept; what waits for another try stays missing, and --resume asks for it."""
    prompts(tmp_path / "in.jsonl", 12)
    server, stop = ModelServer(busy_first="50"), StopSwitch()
    with server.serving():
        asked = settings(tmp_path, server, num_repeats=1, num_samples_in_parallel=4, retry=RetryPolicy())

        async def stop_later() -> None:
            await until(lambda: server.requests >= 12)
            stop.throw()

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                group.start_soon(stop_later)
                result = await collect(asked, stop=stop)
        assert (result.interrupted, result.rollouts, result.failed) == (True, 0, 0)
        assert len(rows_of(result.paths.failures)) == 12
        server.busy_first = None
        again = await collect(settings(tmp_path, server, num_repeats=1, resume=True))
    assert len(assert_sealed(again, 1)) == 12


async def test_the_time_for_all_attempts_is_bounded(tmp_path: Path) -> None:
    """No attempt begins later; the last one's failure stands, and says why it was the last."""
    prompts(tmp_path / "in.jsonl", 2)
    server = ModelServer(fault_every=1, fault_kinds=("500",))
    retry = RetryPolicy(max_attempts=10_000, backoff_base=0.01, backoff_cap=0.02)
    with server.serving():
        asked = settings(tmp_path, server, num_repeats=1, retry=retry, timeouts=Timeouts(rollout=0.3))
        result = await collect(asked)
    assert result.failures == {"http_500": 2}
    last = [row for row in rows_of(result.paths.failures) if row["final"]]
    assert [row["failure_class"] for row in last] == ["http_500"] * 2
    assert all("0.3 s for all attempts are over (--rollout-timeout)" in row["message"] for row in last)
    assert all(row["attempt"] > 2 for row in last)


async def test_a_server_that_is_stopped_and_continued_loses_nothing(tmp_path: Path) -> None:
    """SIGSTOP, as a node that swaps or a debugger: it is said, and so is its end; every rollout is there."""
    prompts(tmp_path / "in.jsonl", 100)
    with server_process() as (process, url):

        class Standstill(Notes):
            rollouts = 0

            def rollout(self, *_: Any) -> None:
                self.rollouts += 1
                if self.rollouts == 60:
                    process.send_signal(signal.SIGSTOP)

            def note(self, text: str) -> None:
                super().note(text)
                if text.startswith("no reply for"):
                    process.send_signal(signal.SIGCONT)

        watching = Standstill()
        asked = settings(tmp_path, ModelServer(url=url), num_samples_in_parallel=8, timeouts=Timeouts(stall=0.5))
        result = await collect(asked, observer=watching)
    assert (len(assert_sealed(result, 4)), result.failed) == (400, 0)
    said = [note for note in watching.notes if "repl" in note]
    assert "8 requests in flight" in said[0]
    assert said[1].startswith("replies come again, after")


async def test_a_hung_server_is_gone_when_requests_run_out_of_time_and_nothing_answers(tmp_path: Path) -> None:
    """A port that takes connections and answers nothing, the model list included, ends the run as a dead one does."""
    prompts(tmp_path / "in.jsonl", 100)
    server = ModelServer(latency=(0.001, 0.01))

    class Hang(Notes):
        def rollout(self, *_: Any) -> None:
            server.hang()

    with server.serving():
        asked = settings(tmp_path, server, timeouts=Timeouts(total=0.3), retry=QUICK)
        try:
            with pytest.raises(ServerError, match=r"no connection for 0.5 seconds \(no whole reply within 0.3 s"):
                await collect(asked, observer=Hang())
        finally:
            server.wake()


async def test_rows_for_a_slow_prompt_are_no_sign_of_a_dead_server(tmp_path: Path) -> None:
    """Requests that run out of time while the server answers other things fail alone, and the run goes on."""
    prompts(tmp_path / "in.jsonl", 3)
    server = ModelServer(latency=(0.4, 0.5))
    with server.serving():
        retry = RetryPolicy(max_attempts=3, backoff_base=0.01, dead_after=0.1)
        asked = settings(tmp_path, server, num_repeats=1, timeouts=Timeouts(total=0.1), retry=retry)
        result = await collect(asked)
    assert result.failures == {"timeout": 3}


@pytest.mark.parametrize("at", [1, 8])
async def test_an_observer_that_raises_ends_the_run_and_costs_no_row(tmp_path: Path, at: int) -> None:
    """A bug in what watches a run, at its first row or its last: the error comes out, the rows are on disk."""
    prompts(tmp_path / "in.jsonl", 2)
    server = ModelServer()

    class Broken(Notes):
        rollouts = 0

        def rollout(self, *_: Any) -> None:
            self.rollouts += 1
            if self.rollouts == at:
                raise LookupError("a bug")

    with server.serving():
        with anyio.fail_after(20), pytest.raises(LookupError, match="a bug"):
            await collect(settings(tmp_path, server, num_samples_in_parallel=1), observer=Broken())
        assert len(rows_of(tmp_path / "out" / "rollouts.jsonl")) >= at
        again = await collect(settings(tmp_path, server, resume=True))
    assert len(assert_sealed(again, 4)) == 8


class Crowd(httpx.AsyncBaseTransport):
    """A transport that answers nothing until `most` requests have come to it. `order` says what each was doing."""

    def __init__(self, most: int) -> None:
        self.order: list[str] = []
        self._most = most
        self._all_there = anyio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200, json={"data": [{"id": "toy"}]})
        self.order.append("begun")
        await anyio.lowlevel.checkpoint()  # as a connection does that is being opened
        self.order.append("sent")
        if self.order.count("sent") == self._most:
            self._all_there.set()
        await self._all_there.wait()
        prompt = orjson.loads(request.content)["messages"][-1]["content"]
        message = {"role": "assistant", "content": f"<{prompt}> {len(self.order)}"}
        return httpx.Response(200, json={"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


async def test_requests_go_out_while_others_are_still_being_made(tmp_path: Path) -> None:
    """With hundreds of slots the first requests are sent before the last one is begun, and all are out together."""
    crowd = Crowd(most=400)
    prompts(tmp_path / "in.jsonl", 100)
    given = settings(tmp_path, ModelServer(), base_url="http://server/v1", num_samples_in_parallel=400)
    result = await collect(given, transport=crowd)
    assert result.high_water == 400
    begun_before_any_is_sent = crowd.order.index("sent")
    assert begun_before_any_is_sent <= 100
