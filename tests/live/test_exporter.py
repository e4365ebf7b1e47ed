"""The metrics of a real run, asked for over HTTP: they equal its result, hold no secret, and go when it goes."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from collector.collecting import collect
from collector.errors import UsageError
from collector.exporter import serving
from collector.live import LiveObserver, Watch
from collector.result import CollectResult
from pairing.cli import main
from tests.live.parts import View
from tests.model_server import ModelServer
from tests.runs import prompts, rows_of, settings

PAGE = Path(__file__).parents[2] / "docs" / "live.md"
WATCH = Watch("off", metrics_port=0)
Metrics = dict[str, dict[tuple[tuple[str, str], ...], float]]


async def scraped(url: str) -> str:
    async with httpx.AsyncClient(trust_env=False) as client:
        reply = await client.get(url)
    assert reply.status_code == 200
    return reply.text


def metrics_of(text: str) -> Metrics:
    """Sample name -> labels -> value."""
    found: Metrics = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


@pytest.fixture
def server() -> Iterator[ModelServer]:
    server = ModelServer(fault_every=7, always_fail="question 3")
    with server.serving():
        yield server


async def measured(run: Any) -> tuple[CollectResult, Metrics, str]:
    """A run's result, and what its metrics are at its end."""
    observer = LiveObserver(WATCH)
    with serving(observer.tally, "127.0.0.1", 0) as url:
        result = await collect(run, observer=observer)
        text = await scraped(url)
    return result, metrics_of(text), text


async def test_the_metrics_equal_the_runs_result(tmp_path: Path, server: ModelServer) -> None:
    """Rollouts, failures and retries by class, tokens, rewards, latencies, and nothing left."""
    prompts(tmp_path / "in.jsonl", 12)
    result, metrics, _ = await measured(settings(tmp_path, server, num_samples_in_parallel=8))
    rows = rows_of(result.paths.rollouts)
    rewards = [row["reward"] for row in rows]
    assert metrics["pairmill_rollouts_total"] == {(): result.rollouts} == {(): len(rows)}
    assert metrics["pairmill_failures_total"] == {(("class", k),): n for k, n in result.failures.items()}
    assert metrics["pairmill_retries_total"] == {(("class", k),): n for k, n in result.retries.items()}
    assert len(result.retries) > 1
    assert metrics["pairmill_output_tokens_total"][()] == sum(row["usage"]["output_tokens"] for row in rows)
    assert metrics["pairmill_input_tokens_total"][()] == sum(row["usage"]["input_tokens"] for row in rows)
    assert metrics["pairmill_reward_mean"][()] == pytest.approx(sum(rewards) / len(rewards))
    buckets = metrics["pairmill_reward_bucket"]
    assert buckets[("le", "+Inf"),] == len(rows)
    assert buckets[("le", "0.5"),] == sum(reward <= 0.5 for reward in rewards)
    endpoint = (("endpoint", server.url),)
    assert metrics["pairmill_request_latency_seconds_count"] == {endpoint: len(rows)}
    assert metrics["pairmill_requests_in_flight"] == {endpoint: 0}
    assert metrics["pairmill_requests_limit"] == {(): 8}
    assert metrics["pairmill_tasks"] == {(): result.tasks}
    assert metrics["pairmill_tasks_left"] == {(): 0}
    assert metrics["pairmill_prompts_finished"] == {(): 12}
    spread = [rewards_of(rows, index) for index in range(12)]
    assert metrics["pairmill_prompts_usable"] == {(): sum(max(each) - min(each) >= 0.15 for each in spread if each)}


def rewards_of(rows: list[dict[str, Any]], index: int) -> list[float]:
    return [row["reward"] for row in rows if row["_ng_task_index"] == index]


async def test_a_resumed_run_counts_its_own(tmp_path: Path, server: ModelServer) -> None:
    """What was there before is a number of its own."""
    prompts(tmp_path / "in.jsonl", 12)
    before, _, _ = await measured(settings(tmp_path, server, limit=5))
    result, metrics, _ = await measured(settings(tmp_path, server, resume=True, limit=12))
    assert metrics["pairmill_rollouts_resumed"] == {(): before.rollouts} == {(): result.resumed}
    assert metrics["pairmill_rollouts_total"] == {(): result.rollouts - result.resumed}
    assert metrics["pairmill_prompts_finished"] == {(): 8}  # seven new ones, and the one that failed before


async def test_no_label_holds_a_prompt_or_a_secret(tmp_path: Path, server: ModelServer) -> None:
    """A password in the URL, a key, the prompts' and the answers' words: none is in the text."""
    prompts(tmp_path / "in.jsonl", 4, word="canary")
    url = server.url.replace("http://", "http://me:canary@")
    _, _, text = await measured(settings(tmp_path, server, base_url=url, api_key="canary"))
    assert "canary" not in text
    assert f'endpoint="{server.url}"' in text


def test_a_port_in_use_is_told_before_the_output_is_touched(
    tmp_path: Path, server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that names the flag, exit code 2, and what --overwrite would discard is still there."""
    source, output = prompts(tmp_path / "in.jsonl", 2), tmp_path / "r.jsonl"
    output.write_text("{}\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = [f"--input={source}", f"--output={output}", f"--base-url={server.url}", f"--metrics-port={port}"]
        assert main(["collect", *words, "--overwrite"]) == 2
    err = capsys.readouterr().err
    assert f"--metrics-port {port}: cannot be listened on: Address already in use" in err
    assert err.count("\n") == 1
    assert output.read_text() == "{}\n"
    assert server.requests == 0


def test_a_host_that_is_none_is_told() -> None:
    """One line that names it."""
    with pytest.raises(UsageError, match=r"--metrics-host no\.such\.host\.invalid: cannot be listened on"):  # noqa: SIM117
        with serving(LiveObserver(WATCH).tally, "no.such.host.invalid", 0):
            pass


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_told(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    """At once, with what was given."""
    assert main(["collect", "--input=i", "--output=o", "--base-url=http://h", f"--metrics-port={port}"]) == 2
    assert "--metrics-port" in capsys.readouterr().err


def test_the_server_goes_with_the_run() -> None:
    """Nobody listens any more, and no thread is left; while it runs its thread would not keep the process alive."""
    before = set(threading.enumerate())
    with serving(LiveObserver(WATCH).tally, "127.0.0.1", 0) as url:
        (thread,) = set(threading.enumerate()) - before
        assert thread.daemon
    assert set(threading.enumerate()) == before
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


def test_a_command_says_where_its_metrics_are(
    tmp_path: Path, server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Port 0 takes a free one, so the address has to be told."""
    source = prompts(tmp_path / "in.jsonl", 1)
    words = [f"--input={source}", f"--output={tmp_path / 'r.jsonl'}", f"--base-url={server.url}", "--metrics-port=0"]
    assert main(["collect", *words]) == 0
    assert "note: metrics for Prometheus: http://127.0.0.1:" in capsys.readouterr().err


async def test_every_metric_has_its_line_in_the_docs() -> None:
    """With its type and its labels; none is there that is not served."""
    observer = LiveObserver(WATCH)
    observer.started(0, 1)
    with serving(observer.tally, "127.0.0.1", 0) as url:
        fill(observer)
        text = await scraped(url)
    served = {}
    for family in text_string_to_metric_families(text):
        labels = sorted({label for sample in family.samples for label in sample.labels} - {"le"})
        suffix = "_total" if family.type == "counter" else ""
        served[family.name + suffix] = f"| {family.type} | {', '.join(f'`{label}`' for label in labels)} |"
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `pairmill_")]
    told = {line.split("`")[1]: line for line in lines}
    assert set(told) == set(served)
    for name, start in served.items():
        assert told[name].startswith(f"| `{name}` {start}".replace("|  |", "| |")), name


def fill(observer: LiveObserver) -> None:
    """One of each event, so that each metric has a sample."""
    from collector.errors import RolloutError
    from collector.settings import CollectSettings
    from tests.live.parts import load, reply, task, verdict

    observer.tally.found(CollectSettings(input=Path("i"), output=Path("o"), base_url="http://h"), 1)
    observer.watching(View(1, endpoints={"http://h": 1}, retries={"timeout": 1}, load=load(1)))
    observer.answered("http://h", 0.5)
    observer.rollout(task(0), reply(3), verdict(1.0))
    observer.failed(task(0, 1), RolloutError("no"))


def _said(url: str, request: bytes) -> bytes:
    """The first bytes that a raw request brings back; none when the server just closes."""
    with socket.create_connection((httpx.URL(url).host, httpx.URL(url).port or 0), timeout=10) as wire:
        wire.sendall(request)
        return wire.recv(1000)


def test_hostile_requests_print_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """What is no request, or leaves in its middle, is answered or dropped, and never shows in the terminal."""
    strange = (
        b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
        b"GET /../../etc/passwd HTTP/1.1\r\n\r\n",
        b"GET /%00%ff?name[]=\xff\xfe HTTP/1.1\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nAccept: text/plain; version=abc; escaping=values\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x00\x00\r\n\r\n",
    )
    with serving(LiveObserver(WATCH).tally, "127.0.0.1", 0) as url:
        assert b"pairmill_tasks" in httpx.get(url).content
        for request in strange:
            assert b"root:" not in _said(url, request)
        for half in (b"", b"GET /met", b"GET /metrics HTTP/1.1\r\nX: y"):
            with socket.create_connection((httpx.URL(url).host, httpx.URL(url).port or 0)) as wire:
                wire.sendall(half)
                wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
        assert httpx.get(url).status_code == 200
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and "process_request" in thread.name:
            thread.join(20)
    told = capsys.readouterr()
    assert (told.out, told.err) == ("", "")


def test_connections_that_say_nothing_neither_pile_up_nor_hold_the_end() -> None:
    """Of many silent connections the oldest are cut: a scrape still gets in, and the end of the run waits for none."""
    with serving(LiveObserver(WATCH).tally, "127.0.0.1", 0) as url:
        where = (httpx.URL(url).host, httpx.URL(url).port or 0)
        wires = [socket.create_connection(where, timeout=5) for _ in range(40)]
        assert httpx.get(url).status_code == 200
        assert wires[0].recv(1) == b""
        with pytest.raises(TimeoutError):
            wires[-1].settimeout(0.01)
            wires[-1].recv(1)
    for wire in wires:
        wire.close()
