"""Signals, and two runs on one output: real processes, each message one line, nothing lost."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from collector.journal import read_run_file
from tests.faults.commands import Commands
from tests.faults.runs import assert_whole, collect_words, rows_in, write_prompts
from tests.model_server import ModelServer

_TASKS = 100


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_drains(tmp_path: Path, pairmill: Commands, number: signal.Signals) -> None:
    """No new request begins, those in flight are finished and kept: as many rows as requests. --resume goes on."""
    output = tmp_path / "out" / "rollouts.jsonl"
    server = ModelServer(latency=(0.05, 0.15))
    with server.serving():
        words = collect_words(write_prompts(tmp_path / "in.jsonl", _TASKS), output, server.url)
        run = pairmill.start(*words)
        run.until(lambda: len(run.reports()) >= 5)
        run.signal(number)
        done = run.wait()
        assert (done.code, server.in_flight) == (130, 0)
        assert "stopping: requests in flight are being finished" in done.err
        assert "go on with" in done.err
        assert "--resume" in done.err
        assert "Traceback" not in done.err
        kept = rows_in(output)
        assert len(kept) == len(run.acknowledged()) == server.requests < 2 * _TASKS
        state = read_run_file(output.with_name("rollouts.run.json"))
        assert state is not None
        assert state.state == "interrupted"
        server.latency = (0.0, 0.0)
        assert_whole(output, _TASKS, done=pairmill.run(*words, "--resume"))
    assert server.requests == 2 * _TASKS


@pytest.mark.parametrize(
    ("first", "second"),
    [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM)],
)
def test_the_second_signal_stops_at_once(
    tmp_path: Path, pairmill: Commands, first: signal.Signals, second: signal.Signals
) -> None:
    """The server never answers what is in flight; the run ends all the same, keeps what it had, and can go on."""
    output = tmp_path / "out" / "rollouts.jsonl"
    server = ModelServer(latency=(0.02, 0.04))
    with server.serving():
        words = collect_words(write_prompts(tmp_path / "in.jsonl", _TASKS), output, server.url)
        run = pairmill.start(*words)
        run.until(lambda: len(run.reports()) >= 20)
        server.latency = (600.0, 600.0)
        run.until(lambda: server.in_flight == 4)
        run.signal(first)
        run.until(lambda: "stopping" in run.err_so_far())
        run.signal(second)
        done = run.wait()
        assert done.code == 130
        assert "Traceback" not in done.err
        assert "--resume" in done.err
        answered = len(rows_in(output))
        assert answered >= len(run.acknowledged()) >= 20
        server.latency = (0.0, 0.0)
        assert_whole(output, _TASKS, done=pairmill.run(*words, "--resume"))
        server.take_down()  # else it would wait for the answers that nobody waits for


def test_fifty_signals_at_random_moments(tmp_path: Path, pairmill: Commands) -> None:
    """Whenever they come, in a burst or alone: the run ends by itself or as interrupted, never with a traceback, and
    what it had counted is there. A SIGTERM before Python listens, or a SIGINT after the end, kills."""
    rng = random.Random(5)
    output = tmp_path / "out" / "rollouts.jsonl"
    source = write_prompts(tmp_path / "in.jsonl", _TASKS)
    server = ModelServer(latency=(0.0, 0.01))
    acknowledged: dict[tuple[int, int], str] = {}
    sent = 0
    with server.serving():
        words = collect_words(source, output, server.url, "--resume")
        while sent < 50:
            run = pairmill.start(*words)
            time.sleep(rng.uniform(0, 0.25))
            number = rng.choice((signal.SIGINT, signal.SIGTERM))
            for _ in range(rng.choice((1, 1, 2, 6))):
                run.signal(number)
                sent += 1
            done = run.wait()
            assert done.code in (0, 130, -signal.SIGTERM, -signal.SIGINT), done.err
            assert "Traceback" not in done.err, done.err
            assert not acknowledged.keys() & run.acknowledged().keys()
            acknowledged |= run.acknowledged()
            if output.exists() and done.code != -signal.SIGTERM:
                on_disk = {(row["_ng_task_index"], row["_ng_rollout_index"]) for row in rows_in(output)}
                assert acknowledged.keys() <= on_disk
        assert_whole(output, _TASKS, done=pairmill.run(*words))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_overwrite_that_ends_before_its_first_rollout_costs_nothing(
    tmp_path: Path, pairmill: Commands, number: signal.Signals
) -> None:
    """--overwrite given by mistake, and broken off: the old rollouts are there, to their last byte, and go on."""
    output = tmp_path / "out" / "rollouts.jsonl"
    server = ModelServer()
    with server.serving():
        words = collect_words(write_prompts(tmp_path / "in.jsonl", 5), output, server.url)
        assert pairmill.run(*words).code == 0
        before = {path.name: path.read_bytes() for path in output.parent.iterdir()}
        server.latency = (600.0, 600.0)
        run = pairmill.start(*words, "--overwrite", "--temperature", "0.1")
        run.until(lambda: server.in_flight == 4)
        run.signal(number)
        if number == signal.SIGINT:
            run.until(lambda: "stopping" in run.err_so_far())
            run.signal(number)
        assert run.wait().code == (130 if number == signal.SIGINT else -number)
        server.latency = (0.0, 0.0)
        asked = server.requests
        again = pairmill.run(*words, "--resume")
        assert "all of them there before" in again.out, again.err
        assert server.requests == asked
        after = {path.name: path.read_bytes() for path in output.parent.iterdir()}
        assert after.keys() == before.keys()
        assert after[output.name] == before[output.name]
        server.take_down()


@pytest.mark.parametrize("flag", ["--resume", "--overwrite"])
def test_a_second_run_on_one_output_is_refused(tmp_path: Path, pairmill: Commands, flag: str) -> None:
    """One line names the process in the way; nothing is asked, and the first run ends as if nothing had been."""
    output = tmp_path / "out" / "rollouts.jsonl"
    server, other = ModelServer(latency=(0.05, 0.1)), ModelServer()
    with server.serving(), other.serving():
        source = write_prompts(tmp_path / "in.jsonl", 30)
        first = pairmill.start(*collect_words(source, output, server.url))
        first.until(lambda: len(first.reports()) >= 5)
        second = pairmill.run(*collect_words(source, output, other.url, flag))
        assert f"process {first.pid} is writing this output" in second.one_line()
        assert other.requests == 0
        assert_whole(output, 30, done=first.wait())
    assert server.requests == 60
