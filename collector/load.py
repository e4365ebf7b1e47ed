"""How busy a server says it is: its metrics under the names of vLLM, SGLang and llama.cpp, read once a second.

A server that queues without bound shows overload neither in errors nor, soon enough, in latency: its queue itself is
the measure. Not covered here: what follows from it (`adaptive`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import anyio

from collector.errors import RequestError

__all__ = ["LoadWatch", "ServerLoad", "TextSource", "parse_load"]

_RUNNING = ("vllm:num_requests_running", "sglang:num_running_reqs", "llamacpp:requests_processing")
_WAITING = ("vllm:num_requests_waiting", "sglang:num_queue_reqs", "llamacpp:requests_deferred")
_KV = (
    "vllm:kv_cache_usage_perc",
    "vllm:gpu_cache_usage_perc",  # vLLM's name before 0.10; where both stand they say the same
    "sglang:token_usage",
    "llamacpp:kv_cache_usage_ratio",
)
_PREEMPTIONS = (
    "vllm:num_preemptions_total",
    "vllm:num_preemptions",
    "sglang:num_retracted_requests_total",
    "sglang:num_retracted_reqs_total",
)
_NAMES = (*_RUNNING, *_WAITING, *_KV, *_PREEMPTIONS)
_SAMPLE = re.compile(rf"^({'|'.join(_NAMES)})(?:\{{.*\}})?[ \t]+(\S+)", re.MULTILINE)
"""A server's text may be 200 KB once a second: one pass of the expression takes 3 ms, prometheus-client's
parser 70."""

_WITHIN = 5.0
"""Seconds for one answer: older than the next few it is no use."""
_NAMELESS_TEXTS = 5
"""Texts without a known name before the endpoint is given up: SGLang's gauges appear with its first batch."""
_OUTDATED = 15.0
"""Seconds by which an endpoint may lag behind the others and still be counted among them."""


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """What one server said at `at` (monotonic seconds), or several together: `running` and `waiting` count requests,
    `kv` is the used share of the key-value cache (0 to 1, the fullest engine's), `preemptions` a counter since the
    server's start. None: it does not say."""

    at: float
    running: float
    waiting: float
    kv: float | None = None
    preemptions: float | None = None


class TextSource(Protocol):
    """Where a server's text comes from: `ModelClient`."""

    async def get_text(self, path: str, *, within: float) -> str:
        """What stands at `path` below the server's root. Raises RequestError."""


def parse_load(text: str, at: float) -> ServerLoad | None:
    """The load in a Prometheus text, summed over engines and models; None when it has neither a number of running nor
    of waiting requests under a name that is known. Raises nothing: what is no number is passed over."""
    sums: dict[str, list[float]] = {}
    for name, value in _SAMPLE.findall(text):
        try:
            number = float(value)
        except ValueError:
            continue
        if 0 <= number < float("inf"):
            sums.setdefault(name, []).append(number)
    running, waiting = _first(sums, _RUNNING), _first(sums, _WAITING)
    if running is None and waiting is None:
        return None
    kv, preemptions = _first(sums, _KV), _first(sums, _PREEMPTIONS)
    return ServerLoad(
        at=at,
        running=sum(running or ()),
        waiting=sum(waiting or ()),
        kv=None if kv is None else min(1.0, max(kv)),
        preemptions=None if preemptions is None else sum(preemptions),
    )


def _first(sums: Mapping[str, list[float]], names: tuple[str, ...]) -> list[float] | None:
    return next((sums[name] for name in names if name in sums), None)


class LoadWatch:
    """Asks each server of a run for its load. Names are the endpoints'.

    A server that has no such page, or does not let us see it, is asked once; one whose page has no known name a few
    times. Any other failure (it is busy, or restarts), and any at all once it had a load, leaves the last load as it
    was, whose `at` tells its age.
    """

    def __init__(
        self,
        sources: Mapping[str, TextSource],
        *,
        interval: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        seen: Callable[[str, ServerLoad], None] | None = None,
        given_up: Callable[[str], None] | None = None,
    ) -> None:
        """`interval` in seconds. `seen` is called with each load as it comes, `given_up` once for an endpoint that will
        never have one."""
        self._sources = dict(sources)
        self._interval = interval
        self._clock = clock
        self._seen = seen
        self._given_up = given_up
        self._latest: dict[str, ServerLoad] = {}
        self._nameless = dict.fromkeys(self._sources, 0)

    def latest(self, name: str) -> ServerLoad | None:
        """The last load of that endpoint, however old; None when there was none."""
        return self._latest.get(name)

    @property
    def total(self) -> ServerLoad | None:
        """The load of all endpoints together, as of the oldest that counts; None when no endpoint has one."""
        if not self._latest:
            return None
        newest = max(load.at for load in self._latest.values())
        loads = [load for load in self._latest.values() if newest - load.at <= _OUTDATED]
        kvs = [load.kv for load in loads if load.kv is not None]
        preemptions = [load.preemptions for load in loads if load.preemptions is not None]
        return ServerLoad(
            at=min(load.at for load in loads),
            running=sum(load.running for load in loads),
            waiting=sum(load.waiting for load in loads),
            kv=max(kvs, default=None),
            preemptions=sum(preemptions) if preemptions else None,
        )

    async def watch(self) -> None:
        """Asks until it is cancelled, or until no endpoint is left that has a load."""
        async with anyio.create_task_group() as group:
            for name in self._sources:
                group.start_soon(self._watch_one, name)

    async def _watch_one(self, name: str) -> None:
        while await self.ask(name):  # noqa: ASYNC110 - a page is polled, there is no event
            await anyio.sleep(self._interval)
        if self._given_up is not None:
            self._given_up(name)

    async def ask(self, name: str) -> bool:
        """Asks one endpoint once. False when it need not be asked again."""
        try:
            text = await self._sources[name].get_text("/metrics", within=_WITHIN)
        except RequestError as error:
            return name in self._latest or not _is_final(error)
        load = parse_load(text, self._clock())
        if load is None:
            self._nameless[name] += 1
            return name in self._latest or self._nameless[name] < _NAMELESS_TEXTS
        self._nameless[name] = 0
        self._latest[name] = load
        if self._seen is not None:
            self._seen(name, load)
        return True


def _is_final(error: RequestError) -> bool:
    """Whether the answer will be the same next time: a 404 of a server that has no metrics, or a refusal."""
    return error.status is not None and 300 <= error.status < 500 and error.status not in (408, 425, 429)
