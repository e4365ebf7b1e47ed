"""A run's counts for Prometheus: `--metrics-port` serves them while it goes on.

The counts are the watcher's own (`live.tally`): what is served is read from them when it is asked for, and a rollout
costs nothing more. No label holds what a model, a prompt or a key said: an endpoint's is the name that messages show.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from io import StringIO
from itertools import accumulate
from socketserver import TCPServer, ThreadingMixIn
from threading import Lock, Thread
from typing import Any, TextIO, TypeVar
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from collector.errors import UsageError
from collector.live.tally import Histogram, Tally

__all__ = ["RunMetrics", "serving"]

_LOOKS_UP_EVERY = 0.1
"""Seconds between the looks of the server's thread at whether it is to stop."""

_MOST_OPEN = 32
"""Connections to the metrics at once."""

_Family = TypeVar("_Family", CounterMetricFamily, GaugeMetricFamily)


class RunMetrics(Collector):
    """Reads a tally at each scrape, in the server's thread: single numbers and copies of small dicts, no lock."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        tally = self._tally
        yield from _counters(tally)
        yield from _gauges(tally)
        yield from _histograms(tally)
        yield from _servers(tally)

    def describe(self) -> list[Metric]:
        """Nothing, so that registering asks for no numbers yet."""
        return []


def _counters(tally: Tally) -> Iterator[Metric]:
    yield CounterMetricFamily("pairmill_rollouts", "Rollouts of this run that are on disk.", tally.rollouts)
    yield _by("class", CounterMetricFamily, "pairmill_failures", "Rollouts that failed for good.", dict(tally.failures))
    text = "Failed attempts that were followed by another."
    yield _by("class", CounterMetricFamily, "pairmill_retries", text, tally.retries)
    text = "tokens of the rollouts on disk, as the servers count them."
    yield CounterMetricFamily("pairmill_input_tokens", f"Input {text}", tally.input_tokens)
    yield CounterMetricFamily("pairmill_output_tokens", f"Output {text}", tally.output_tokens)


def _gauges(tally: Tally) -> Iterator[Metric]:
    yield GaugeMetricFamily("pairmill_tasks", "Rollouts that the run is to have.", tally.tasks)
    yield GaugeMetricFamily("pairmill_tasks_left", "Rollouts that have not come to an end.", tally.left)
    yield GaugeMetricFamily("pairmill_tasks_spared", "Rollouts that early stop found needless.", tally.spared)
    yield GaugeMetricFamily("pairmill_rollouts_resumed", "Rollouts that were on disk before.", tally.resumed)
    yields = tally.yields
    if yields is not None:
        text = "Prompts of which this run has made and ended all rollouts."
        yield GaugeMetricFamily("pairmill_prompts_finished", text, yields.finished)
        text = "Finished prompts with a usable pair by their rewards."
        yield GaugeMetricFamily("pairmill_prompts_usable", text, yields.usable)
    if tally.rewards:
        text = "Mean reward of this run's rollouts."
        yield GaugeMetricFamily("pairmill_reward_mean", text, tally.reward_sum / tally.rewards)


def _histograms(tally: Tally) -> Iterator[Metric]:
    if tally.reward_histogram is not None:
        family = HistogramMetricFamily("pairmill_reward", "Rewards of this run's rollouts.")
        _add(family, [], tally.reward_histogram)
        yield family
    text = "Seconds from sending a request to its good reply."
    family = HistogramMetricFamily("pairmill_request_latency_seconds", text, labels=["endpoint"])
    for endpoint, histogram in dict(tally.latencies or {}).items():
        _add(family, [endpoint], histogram)
    yield family


def _servers(tally: Tally) -> Iterator[Metric]:
    view = tally.view
    if view is None:
        return
    text = "Requests that are out at the endpoint."
    yield _by("endpoint", GaugeMetricFamily, "pairmill_requests_in_flight", text, dict(view.endpoints))
    yield GaugeMetricFamily("pairmill_requests_limit", "Requests that may be out at once.", view.limit)
    load = view.load
    if load is None:
        return
    yield GaugeMetricFamily("pairmill_server_requests_running", "Requests the servers say they run.", load.running)
    yield GaugeMetricFamily("pairmill_server_requests_waiting", "Requests the servers say they queue.", load.waiting)
    if load.kv is not None:
        text = "Used share of the servers' key-value cache, of the fullest."
        yield GaugeMetricFamily("pairmill_server_kv_cache_usage_ratio", text, load.kv)


def _by(label: str, kind: Callable[..., _Family], name: str, text: str, values: Mapping[str, float]) -> _Family:
    family = kind(name, text, labels=[label])
    for value in values:
        family.add_metric([value], values[value])
    return family


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    """The histogram as Prometheus has it: each bucket counts all values up to its edge. One with edges below 0 has
    neither sum nor count, by the format's own rule; its last bucket is the count."""
    total, counts = histogram.total, accumulate(histogram.counts[:])
    edges = [*(f"{edge:.12g}" for edge in histogram.edges), "+Inf"]
    family.add_metric(labels, list(zip(edges, counts, strict=True)), total)


class _Server(ThreadingMixIn, WSGIServer):
    """Answers each scrape in a thread of its own, which does not keep the process alive.

    Of many connections the oldest is cut: who opens them and says nothing takes neither the run's files and threads nor
    the next scrape's turn.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[WSGIRequestHandler]) -> None:
        self._open: dict[socket.socket, None] = {}
        self._guard = Lock()
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """As HTTPServer, but for the name of this machine: a look-up may take long, and nobody asks for it."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "metrics", self.server_address[1]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._guard:
            if len(self._open) >= _MOST_OPEN:
                with suppress(OSError):
                    next(iter(self._open)).shutdown(socket.SHUT_RDWR)  # its thread closes it
                self._open.pop(next(iter(self._open)))
            self._open[request] = None
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._guard:
            self._open.pop(request, None)
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a client that leaves, or is too slow, is no news for the user."""


class _ServerOfIPv6(_Server):
    address_family = socket.AF_INET6


class _Quiet(WSGIRequestHandler):
    timeout = 10
    """Seconds: a client that connects and says nothing must not hold a thread for ever."""

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: it would end up in the middle of the bar."""

    def get_stderr(self) -> TextIO:
        """Nowhere: there wsgiref would print its tracebacks."""
        return StringIO()


@contextmanager
def serving(tally: Tally, host: str, port: int) -> Iterator[str]:
    """Serves a tally's metrics while the block runs; the URL they stand at. `port` 0 takes a free one.

    Raises UsageError when the address cannot be had. prometheus-client's own server would do, were it not for the half
    second that it takes to stop, in which a second Ctrl-C would find nobody.
    """
    server = _listening(tally, host, port)
    thread = Thread(target=server.serve_forever, args=(_LOOKS_UP_EVERY,), name="metrics", daemon=True)
    thread.start()
    try:
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _listening(tally: Tally, host: str, port: int) -> WSGIServer:
    registry = CollectorRegistry()
    registry.register(RunMetrics(tally))
    try:
        server = (_ServerOfIPv6 if ":" in host else _Server)((host, port), _Quiet)
    except (OSError, UnicodeError) as error:
        no_host = isinstance(error, socket.gaierror | UnicodeError)
        flag = f"--metrics-host {host}" if no_host else f"--metrics-port {port}"
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"{flag}: cannot be listened on: {reason}; give another, or port 0 for a free one") from None
    server.set_app(make_wsgi_app(registry))
    return server
