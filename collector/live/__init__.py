"""What a run shows while it goes on: a bar or plain lines, with how fast it is and what pairs it will give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from collector.live.observer import LiveObserver
from collector.live.tally import Tally
from collector.live.watch import Watch

__all__ = ["LiveObserver", "Tally", "Watch", "watched"]


@contextmanager
def watched(watch: Watch, begun: Callable[[], None] | None = None) -> Iterator[LiveObserver]:
    """The observer that `watch` asks for, and its metrics served for as long as the block runs. Raises UsageError for
    a port that cannot be had. `begun` is called when the run's first rollout is on disk."""
    observer = LiveObserver(watch, begun=begun)
    if watch.metrics_port is None:
        yield observer
        return
    from collector.exporter import serving  # late: few runs are asked for metrics

    with serving(observer.tally, watch.metrics_host, watch.metrics_port) as url:
        observer.note(f"metrics for Prometheus: {url}")
        yield observer
