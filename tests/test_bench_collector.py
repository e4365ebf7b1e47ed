"""The collector's benchmark at its smallest size: it measures what it says it does, and leaves nothing behind."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp", reason="the benchmark needs the [bench] extra")
pytest.importorskip("uvloop", reason="the benchmark needs the [fast] extra")

SCRIPTS = Path(__file__).parents[1] / "scripts"
SIZE = 2_048


def bench(folder: Path, *options: str) -> list[str]:
    """The lines that the benchmark prints."""
    command = [sys.executable, str(SCRIPTS / "bench_collector.py"), "--size=tiny", f"--folder={folder}", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def parts(lines: list[str]) -> Any:
    return json.loads(lines[-1])["parts"]


def test_the_load_is_as_high_as_it_was_asked_to_be(tmp_path: Path) -> None:
    """The server saw every slot in use by both clients, and answered as many rollouts as lie on disk."""
    found = parts(bench(tmp_path, "--only=load"))["load"]
    assert found["in_flight"] == 40
    assert found["ideal_s"] == 0.6
    for client in ("ours", "bare"):
        assert (found[client]["rollouts"], found[client]["high_water"]) == (80, 40)
        assert found[client]["makespan_s"] >= 0.6
        assert found[client]["peak_mb"] > 1
    assert list(tmp_path.iterdir()) == []


def test_the_last_line_is_json_and_the_table_can_be_pasted(tmp_path: Path) -> None:
    """Cost and resume report under the names that others read, and every figure has its line of Markdown."""
    lines = bench(tmp_path, "--only=cost", "--only=resume", "--markdown")
    found = parts(lines)
    cost = found["cost"]["in_flight_8"]
    assert cost["rollouts"] == 80
    assert {"all_in_ms", "net_ms", "bare_all_in_ms", "bare_net_ms", "ratio", "net_ratio", "rounds"} <= set(cost)
    assert cost["all_in_ms"] > 0
    assert found["cost"]["httpx"]["in_flight"] == 32
    assert [level["rows"] for level in found["resume"]["levels"]] == [40, 80]
    table = [line for line in lines if line.startswith("|")]
    assert table[0] == "| part | what | measured | target | met |"
    assert sum(line.startswith("| resume |") for line in table) == 5


@pytest.fixture
def replay() -> Iterator[http.client.HTTPConnection]:
    """A connection to a replay server of its own, which ends when its input does."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.replay"], cwd=SCRIPTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None and process.stdout is not None
    connection = http.client.HTTPConnection("127.0.0.1", int(process.stdout.readline()))
    yield connection
    connection.close()
    process.stdin.close()
    process.stdout.close()
    assert process.wait() == 0


def test_replies_are_new_each_time_and_right_every_other_time(replay: http.client.HTTPConnection) -> None:
    """A verifier finds both rewards, and no two replies of 2 KB are the same."""
    texts = []
    for _ in range(4):
        replay.request("POST", "/v1/chat/completions", body=b"{}" * 600)
        reply = replay.getresponse().read()
        assert len(reply) == SIZE
        texts.append(json.loads(reply)["choices"][0]["message"]["content"])
    assert ["The answer is 42." in text for text in texts] == [False, True, False, True]
    assert len(set(texts)) == 4


def test_a_request_that_comes_in_pieces_is_one_request(replay: http.client.HTTPConnection) -> None:
    """Head and body may come apart; the server counts one request and one reply, none left in flight."""
    replay.putrequest("POST", "/v1/chat/completions")
    replay.putheader("content-length", "6")
    replay.endheaders()
    replay.send(b"abc")
    replay.send(b"def")
    assert replay.getresponse().read()
    replay.request("GET", "/counts")
    counts = json.loads(replay.getresponse().read())
    wanted = {"connections": 1, "requests": 1, "replies": 1, "in_flight": 0, "high_water": 1}
    assert {name: counts[name] for name in wanted} == wanted
