"""The load of a server: what is read out of its metrics, and when it is no longer asked."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from collector.client import ModelClient
from collector.embedded.metrics import Metrics
from collector.errors import RequestError
from collector.load import LoadWatch, ServerLoad, parse_load
from collector.settings import CollectSettings

VLLM = """# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a } b"} 12.0
vllm:num_requests_running{engine="1",model_name="a } b"} 3.0 1700000000000
vllm:num_requests_waiting{engine="0",model_name="a } b"} 1.0
vllm:num_requests_waiting{engine="1",model_name="a } b"} 4.0
vllm:num_requests_waiting_by_reason{engine="1",reason="capacity"} 400.0
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:kv_cache_usage_perc{engine="1"} 7.5e-01
vllm:num_preemptions_total{engine="0"} 5.0
vllm:num_preemptions_total{engine="1"} 1.0
vllm:num_preemptions_created{engine="0"} 1.7e+09
"""
SGLANG = """sglang:num_running_reqs{model_name="m",tp_rank="0"} 7.0
sglang:num_queue_reqs{model_name="m",tp_rank="0"} 2.0
sglang:token_usage{model_name="m",tp_rank="0"} 0.5
sglang:num_retracted_reqs{model_name="m",tp_rank="0"} 0.0
"""
LLAMACPP = "llamacpp:requests_processing 4\nllamacpp:requests_deferred 46\n"


@pytest.mark.parametrize(
    ("text", "load"),
    [
        (VLLM, ServerLoad(1.0, 15, 5, 0.75, 6)),
        (SGLANG, ServerLoad(1.0, 7, 2, 0.5, None)),
        (LLAMACPP, ServerLoad(1.0, 4, 46)),
        ("vllm:num_requests_running NaN\nvllm:num_requests_waiting 2", ServerLoad(1.0, 0, 2)),
        ("vllm:num_requests_waiting 1\nvllm:gpu_cache_usage_perc 1.7", ServerLoad(1.0, 0, 1, 1.0)),
        ("vllm:kv_cache_usage_perc 0.5\nprocess_cpu_seconds_total 3", None),
        ("<html>vllm:num_requests_running is here</html>", None),
        ("vllm:num_requests_running oops\nvllm:num_requests_waiting{", None),
        ("", None),
    ],
)
def test_the_load_is_read_under_every_servers_names(text: str, load: ServerLoad | None) -> None:
    """Engines and ranks are summed, of their caches the fullest counts; what is no number is passed over."""
    assert parse_load(text, 1.0) == load


def test_the_embedded_servers_own_text_is_read() -> None:
    """It speaks as vLLM does."""
    metrics = Metrics("m")
    metrics.watch(lambda: 3.0, lambda: 2.0, lambda: 0.5)
    assert parse_load(metrics.text().decode(), 2.0) == ServerLoad(2.0, 3, 2, 0.5, 0)


class Pages:
    """A server whose page is each of these in turn, the last one for ever; a number is an error of that status."""

    def __init__(self, *pages: str | int | None) -> None:
        self.pages = list(pages)
        self.asked = 0

    async def get_text(self, path: str, *, within: float) -> str:
        assert path == "/metrics"
        page = self.pages[min(self.asked, len(self.pages) - 1)]
        self.asked += 1
        if isinstance(page, str):
            return page
        raise RequestError("no", failure_class="http", retryable=True, status=page)


@pytest.mark.parametrize(
    ("pages", "asked"), [((404,), 1), ((401,), 1), ((None, 503, 404), 3), (("process_x 1",), 5), (("", "", 403), 3)]
)
async def test_a_server_without_a_load_is_left_alone(pages: tuple[str | int | None, ...], asked: int) -> None:
    """A 404 ends it at once, a page without a known name after a few; what may pass does not. It is told once."""
    source, gone = Pages(*pages), list[str]()
    watch = LoadWatch({"a": source}, interval=0.0, given_up=gone.append)
    await watch.watch()
    assert (source.asked, gone, watch.latest("a"), watch.total) == (asked, ["a"], None, None)


async def test_a_server_that_had_a_load_is_asked_for_ever() -> None:
    """A restart may show any error: the last load stays, and its time tells its age."""
    watch = LoadWatch({"a": Pages(LLAMACPP, 404, "", None)}, clock=iter([5.0, 6.0]).__next__)
    assert all([await watch.ask("a") for _ in range(9)])
    assert watch.latest("a") == watch.total == ServerLoad(5.0, 4, 46)


async def test_the_total_leaves_out_what_is_long_silent() -> None:
    """Two endpoints add up; one that died half a minute ago no longer counts."""
    times = iter([10.0, 12.0, 40.0])
    watch = LoadWatch({"a": Pages(VLLM), "b": Pages(LLAMACPP)}, clock=times.__next__)
    await watch.ask("a")
    await watch.ask("b")
    assert watch.total == ServerLoad(10.0, 19, 51, 0.75, 6)
    await watch.ask("b")
    assert watch.total == ServerLoad(40.0, 4, 46)


@pytest.mark.parametrize("base", ["http://h.test/v1", "http://h.test/v1/", "http://h.test"])
async def test_the_client_asks_at_the_servers_root(base: str) -> None:
    """/metrics stands beside /v1, not below it, and the key goes along."""

    def answer(request: httpx.Request) -> httpx.Response:
        assert (str(request.url), request.headers["authorization"]) == ("http://h.test/metrics", "Bearer k")
        return httpx.Response(200, text=LLAMACPP)

    settings = CollectSettings(input=Path("i"), output=Path("o"), base_url=base, api_key="k")
    seen: list[tuple[str, ServerLoad]] = []
    async with ModelClient(settings, httpx.MockTransport(answer)) as client:
        watch = LoadWatch({"h": client}, clock=lambda: 3.0, seen=lambda name, load: seen.append((name, load)))
        assert await watch.ask("h")
    assert seen == [("h", ServerLoad(3.0, 4, 46))]
