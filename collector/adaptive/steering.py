"""The limits of a run while it goes on: a controller for each endpoint, fed with its replies, faults and load, and what
they say carried to the endpoint, the run's limiter, its watcher and its log."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from collector.adaptive.changes import LimitChange
from collector.adaptive.controller import Controller
from collector.adaptive.gradient import HARD_MAX
from collector.adaptive.log import LimitLog, limits_path
from collector.adaptive.queue_target import STALE
from collector.endpoints import Endpoint, Endpoints
from collector.errors import RequestError, RolloutError
from collector.limiter import AdaptiveLimiter
from collector.load import LoadWatch, ServerLoad
from collector.observer import Observer
from collector.records.rows import Reply
from collector.settings import CollectSettings

__all__ = ["LimitRange", "Steering"]

_POLL = 1.0
"""Seconds between two loads."""
_START = 32
"""Requests in flight at first, over all endpoints: what a run without a word about it begins with."""
_REFUSALS = frozenset({429, 503, 529})
_TOLD_EVERY = 1.0
"""Seconds for which growth is told as one change."""
_CHARACTERS_A_TOKEN = 4
"""For replies of which the server gives no count: all that matters is their proportion."""


@dataclass(frozen=True, slots=True)
class LimitRange:
    """Between which limits a run went on, over all its endpoints, and with which it ended."""

    lowest: int
    highest: int
    last: int
    changes: int

    def counts(self) -> dict[str, Any]:
        """As the run file has it."""
        return asdict(self)


class Steering:
    """One run's. `limiter` is what its workers wait at; `load` is to be watched by a task of the run.

    `grown` is called whenever more may be sent than before.
    """

    def __init__(
        self,
        settings: CollectSettings,
        endpoints: Endpoints,
        observer: Observer,
        grown: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._observer = observer
        self._grown = grown
        self._clock = clock
        self._controllers = _controllers(settings, endpoints.all, clock)
        self._by_name = {endpoint.name: endpoint for endpoint in endpoints.all}
        self._untold: dict[str, LimitChange] = {}
        self._changes = 0
        self._stale: set[str] = set()
        for endpoint, controller in self._controllers.items():
            endpoint.limit = controller.limit
        self.limiter = AdaptiveLimiter(self._total())
        self._lowest = self._highest = self.limiter.limit
        self.load = LoadWatch(
            {endpoint.name: endpoint.client for endpoint in endpoints.all},
            interval=_POLL,
            clock=clock,
            seen=self._loaded,
            given_up=self._shows_nothing,
        )
        now = clock()
        self._log = LimitLog(limits_path(settings.output), now, keep=settings.resume, note=observer.note)
        for endpoint, controller in self._controllers.items():
            self._log.write(LimitChange(now, endpoint.name, 0, controller.limit, "start"))

    @property
    def range(self) -> LimitRange:
        return LimitRange(self._lowest, self._highest, self.limiter.limit, self._changes)

    def completed(self, endpoint: Endpoint, latency: float, replies: Sequence[Reply]) -> None:
        """A request to `endpoint`, no longer counted there, got its replies after `latency` seconds."""
        controller = self._controllers[endpoint]
        self._note_stale(endpoint.name)
        self._carry(endpoint, controller.completed(endpoint.in_flight + 1, latency, _tokens(replies)))

    def failed(self, endpoint: Endpoint, error: RolloutError, sent: float) -> None:
        """A request to `endpoint`, no longer counted there, came to nothing."""
        controller = self._controllers[endpoint]
        if not isinstance(error, RequestError) or not error.retryable:
            return  # the server did its part: the fault is the request's or the reply's
        if error.status not in _REFUSALS:
            controller.faulted()
            return
        wait = min(error.retry_after or 0.0, self._settings.retry.retry_after_cap)
        self._carry(endpoint, controller.refused(sent, endpoint.in_flight + 1, wait))
        if wait > 0:
            self._hold(endpoint, controller)

    def close(self) -> None:
        """The run is over."""
        for endpoint in self._by_name:
            self._tell(endpoint)
        self._log.close()

    def _loaded(self, name: str, load: ServerLoad) -> None:
        endpoint = self._by_name[name]
        if name in self._stale:
            self._stale.discard(name)
            self._observer.note(f"{name}: its metrics are back: the limit moves again")
        self._carry(endpoint, self._controllers[endpoint].loaded(load, endpoint.in_flight))
        self._tell(name, at_least=_TOLD_EVERY)

    def _note_stale(self, name: str) -> None:
        """Said once, while replies come and metrics do not: a server that gives neither is told of elsewhere."""
        load = self.load.latest(name)
        if load is None or name in self._stale or self._clock() - load.at <= STALE:
            return
        self._stale.add(name)
        self._observer.note(f"{name}: no metrics for {STALE:.0f} s, though it answers: its limit stays as it is")

    def _shows_nothing(self, name: str) -> None:
        self._observer.note(
            f"{name}: shows no load at /metrics (vLLM's, SGLang's or llama.cpp's names): its limit follows the latency"
            f" of an output token, a weak measure, up to {HARD_MAX}; give a number, or see what `pairmill bench` finds"
        )

    def _hold(self, endpoint: Endpoint, controller: Controller) -> None:
        """Nothing is sent to it for as long as it asked."""
        endpoint.limit = 0
        seconds = max(0.0, controller.held_until - self._clock())
        asyncio.get_running_loop().call_later(seconds, self._let_go, endpoint, controller)

    def _let_go(self, endpoint: Endpoint, controller: Controller) -> None:
        if self._clock() >= controller.held_until - 1e-3:  # it may have asked again meanwhile
            endpoint.limit = controller.limit
            self._grown()

    def _carry(self, endpoint: Endpoint, change: LimitChange | None) -> None:
        """Lets a change of one endpoint's limit come true."""
        if change is None:
            return
        if endpoint.limit:  # one that is held gets it when it is let go
            endpoint.limit = change.new
        before = self.limiter.limit
        self.limiter.resize(self._total())
        self._lowest = min(self._lowest, self.limiter.limit)
        self._highest = max(self._highest, self.limiter.limit)
        self._note_change(change)
        if self.limiter.limit > before:
            self._grown()

    def _total(self) -> int:
        most = self._settings.num_samples_in_parallel
        return min(most, sum(controller.limit for controller in self._controllers.values()))

    def _note_change(self, change: LimitChange) -> None:
        """Growth comes by one: what comes within a second is told together. A cut is told at once."""
        before = self._untold.get(change.endpoint)
        if before is not None and change.new < change.old:
            self._tell(change.endpoint)
            before = None
        self._untold[change.endpoint] = change if before is None else replace(change, old=before.old, at=before.at)
        if change.new < change.old:
            self._tell(change.endpoint)
        else:
            self._tell(change.endpoint, at_least=_TOLD_EVERY)

    def _tell(self, name: str, at_least: float = 0.0) -> None:
        change = self._untold.get(name)
        if change is None or self._clock() - change.at < at_least:
            return
        del self._untold[name]
        self._changes += 1
        self._log.write(change)
        self._observer.limit_changed(change)


def _controllers(
    settings: CollectSettings, endpoints: Sequence[Endpoint], clock: Callable[[], float]
) -> Mapping[Endpoint, Controller]:
    """The bounds are the run's: the upper one holds for each endpoint as for all, the lower one is shared by all."""
    most = settings.num_samples_in_parallel
    high = min(most, settings.parallel_per_endpoint or most)
    low = max(1, min(high, (settings.parallel_min or 1) // len(endpoints)))
    start = math.ceil(_START / len(endpoints))
    return {endpoint: Controller(endpoint.name, low, high, start, clock) for endpoint in endpoints}


def _tokens(replies: Sequence[Reply]) -> float:
    """Output tokens of one request's replies, as the server counted them, else as their texts' lengths suggest."""
    first = replies[0] if replies else None
    if first is not None and first.usage is not None and first.usage.output_tokens > 0:
        return float(first.usage.output_tokens)  # of all of them together
    return sum(len(reply.text) for reply in replies) / _CHARACTERS_A_TOKEN
