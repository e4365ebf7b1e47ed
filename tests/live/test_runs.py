"""The live view of real runs: what it reads of them, what it asks of servers, and the real command in a terminal."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from collections import Counter
from pathlib import Path

import httpx
import orjson
import pytest

from collector.collecting import collect
from collector.live import LiveObserver, Watch
from collector.observer import Observer, RunView, SilentObserver
from tests.live.parts import Terminal
from tests.model_server import ModelServer
from tests.runs import command_env, prompts, settings, wait_for

_VIEW = re.compile(r"  in flight |  usable pairs |(Collecting r|R)ollouts: ")
METRICS = "# HELP\nvllm:num_requests_running 3.0\nvllm:num_requests_waiting 2.0\n"
ANSWER = {"choices": [{"message": {"content": "<a> 1"}, "finish_reason": "stop"}]}


class Viewer(SilentObserver):
    """Keeps the view, and what it said after each rollout."""

    view: RunView
    wants_load = True

    def __init__(self) -> None:
        self.in_flight: list[int] = []

    def watching(self, view: RunView) -> None:
        self.view = view

    def rollout(self, *_: object) -> None:
        self.in_flight.append(self.view.in_flight)


def asked(paths: Counter[str]) -> httpx.MockTransport:
    """A server in the process that counts what is asked of it."""

    def answer(request: httpx.Request) -> httpx.Response:
        paths[request.url.path] += 1
        if request.url.path == "/metrics":
            return httpx.Response(200, text=METRICS)
        if request.url.path.endswith("/models"):
            return httpx.Response(200, json={"data": [{"id": "m"}]})
        return httpx.Response(200, content=orjson.dumps(ANSWER))

    return httpx.MockTransport(answer)


async def test_the_view_tells_of_the_run_while_it_goes_on(tmp_path: Path) -> None:
    """Never more in flight than may be, some at times, none at the end; endpoints by the names that messages show."""
    prompts(tmp_path / "in.jsonl", 10)
    viewer = Viewer()
    with ModelServer(latency=(0.0, 0.02), fault_every=5).serving() as server:
        result = await collect(settings(tmp_path, server, num_samples_in_parallel=6), observer=viewer)
    assert max(viewer.in_flight) <= viewer.view.limit == 6
    assert max(viewer.in_flight) > 0
    assert viewer.view.in_flight == 0
    assert viewer.view.endpoints == {server.url: 0}
    assert viewer.view.retries == result.retries != {}


@pytest.mark.parametrize("observer", [None, Viewer()])
async def test_servers_are_asked_for_their_load_only_where_somebody_reads_it(
    tmp_path: Path, observer: Viewer | None
) -> None:
    """A run that nobody watches sends no request for it."""
    prompts(tmp_path / "in.jsonl", 3)
    paths: Counter[str] = Counter()
    run = settings(tmp_path, ModelServer(url="http://h/v1"), verifier=None)
    result = await collect(run, observer=observer, transport=asked(paths))
    assert result.rollouts == 12
    if observer is None:
        assert paths["/metrics"] == 0
    else:
        assert paths["/metrics"] >= 1
        assert observer.view.load is not None
        assert (observer.view.load.running, observer.view.load.waiting) == (3, 2)


async def test_early_stop_leaves_nothing_to_come(tmp_path: Path) -> None:
    """Tasks that were spared are off the total, and every prompt has finished."""
    prompts(tmp_path / "in.jsonl", 9)
    observer = LiveObserver(Watch("off"))
    watching: Observer = observer
    with ModelServer(latency=(0.0, 0.01)).serving() as server:
        run = settings(tmp_path, server, until_gap=0.3, num_repeats=8, num_samples_in_parallel=8)
        result = await collect(run, observer=watching)
    tally = observer.tally
    assert tally.rollouts == result.rollouts < 72
    assert (tally.tasks, tally.left) == (result.rollouts, 0)
    assert tally.yields is not None
    assert tally.yields.finished == 9
    assert tally.yields.usable > 0


def in_terminal(words: list[str], columns: int) -> tuple[subprocess.Popen[bytes], int]:
    """The command with its output on a terminal of that width, and the terminal's other end."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {**command_env(), "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "pairing.cli", "collect", *words]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    return process, ours


def all_of(ours: int) -> str:
    text = bytearray()
    try:
        while chunk := os.read(ours, 65_536):
            text += chunk
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    return text.decode()


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_real_command_in_a_terminal(tmp_path: Path, columns: int) -> None:
    """Nothing is wider than the terminal; two Ctrl-C or none, what stays is the messages and one bar."""
    source = prompts(tmp_path / "in.jsonl", 100)
    with ModelServer(latency=(0.2, 0.4)).serving() as server:
        words = [f"--input={source}", f"--output={tmp_path / 'r.jsonl'}", f"--base-url={server.url}"]
        process, ours = in_terminal([*words, "--verifier=python:tests.model_server:score"], columns)
        wait_for(lambda: server.requests > 100)
        process.send_signal(signal.SIGINT)
        text = all_of(ours)
        assert process.wait() == 130
    terminal = Terminal()
    terminal.write(text)
    bars = [line for line in terminal.shown if "ollouts: " in line]
    assert len(bars) == 1
    assert len(bars[0]) < columns
    drawn = [line for line in re.split(r"[\r\n]|\x1b\[\d*[A-Z]", text) if _VIEW.match(line)]
    assert len(drawn) > 3
    assert all(len(line) < columns for line in drawn)
    assert "note: stopping" in terminal.shown[terminal.shown.index(bars[0]) - 1]
    assert terminal.shown[terminal.shown.index(bars[0]) + 1].startswith("interrupted: what was collected is on disk")
