"""What is read while a trial runs: requests in flight, the client's own load, the server's word on itself."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import anyio
import numpy as np

from collector.client import ModelClient
from collector.load import LoadWatch, ServerLoad
from collector.observer import Observer
from collector.parallelism.records import LoadFigures
from collector.policies import Timeouts
from collector.stalls import Outstanding
from collector.work import Job

__all__ = ["ClientMeter", "Flights", "ServerMeter"]

_TICK = 0.01
_FIRST_TOKEN = re.compile(r"^(?:vllm|sglang):time_to_first_token_seconds_(sum|count)(?:\{.*\})?[ \t]+(\S+)", re.M)


class Flights(Outstanding):
    """Counts the requests in flight over time. `last` is when the request that came back last was sent, and came back
    (monotonic seconds)."""

    def __init__(self, timeouts: Timeouts, observer: Observer, slots: int) -> None:
        super().__init__(timeouts, observer)
        self.last = 0.0, 0.0
        self._slots = slots
        self._begun = 0
        self._first: set[Job] = set()
        self._area = 0.0
        self._began = self._since = time.monotonic()
        self._most = 0

    @property
    def turned_over(self) -> bool:
        """Whether each slot has had its first request, and that one has ended."""
        return self._begun >= self._slots and not self._first

    def sent(self, job: Job, now: float) -> None:
        now = time.monotonic()
        self._count(now)
        super().sent(job, now)
        self._most = max(self._most, len(self))
        if self._begun < self._slots:
            self._begun += 1
            self._first.add(job)

    def back(self, job: Job) -> None:
        now = time.monotonic()
        self.last = self._sent[job], now
        self._count(now)
        super().back(job)
        self._first.discard(job)

    def restart(self) -> None:
        """Begins to count anew."""
        self._area = 0.0
        self._began = self._since = time.monotonic()
        self._most = len(self)

    def read(self) -> tuple[float, int]:
        """(mean by time, maximum) since the restart."""
        now = time.monotonic()
        self._count(now)
        return self._area / max(now - self._began, 1e-9), self._most

    def _count(self, now: float) -> None:
        self._area += len(self) * (now - self._since)
        self._since = now


class ClientMeter:
    """How busy this process is: its share of a core, and how late its event loop is for a timer, in seconds."""

    def __init__(self) -> None:
        self._lags: list[float] = []
        self._cpu = time.process_time()
        self._began = time.monotonic()

    async def watch(self) -> None:
        """Never returns."""
        while True:
            due = time.monotonic() + _TICK
            await anyio.sleep(_TICK)
            self._lags.append(max(0.0, time.monotonic() - due))

    def restart(self) -> None:
        self._lags.clear()
        self._cpu, self._began = time.process_time(), time.monotonic()

    def read(self) -> dict[str, float]:
        """`client_cpu`, `lag_p50`, `lag_p99`, `lag_max`, since the restart; and the `machine_load`."""
        share = (time.process_time() - self._cpu) / max(time.monotonic() - self._began, 1e-9)
        lags = np.asarray(self._lags or [0.0])
        p50, p99 = np.quantile(lags, (0.5, 0.99))
        return {
            "client_cpu": round(share, 4),
            "lag_p50": round(float(p50), 6),
            "lag_p99": round(float(p99), 6),
            "lag_max": round(float(lags.max()), 6),
            "machine_load": round(os.getloadavg()[0] / (os.cpu_count() or 1), 2),
        }


@dataclass(slots=True)
class _Reading:
    """One server's text, reduced: the sum and the number of its times to the first token."""

    waited: float = 0.0
    requests: float = 0.0


@dataclass(slots=True)
class _Source:
    """A client as LoadWatch asks it; takes the time to the first token from the text that passes through."""

    client: ModelClient
    now: _Reading = field(default_factory=_Reading)

    async def get_text(self, path: str, *, within: float) -> str:
        text = await self.client.get_text(path, within=within)
        self.now = _first_tokens(text)
        return text


class ServerMeter:
    """Reads the servers' metrics a few times a second, where they have them."""

    def __init__(self, clients: Mapping[str, ModelClient], interval: float) -> None:
        self.history: list[ServerLoad] = []
        """All readings, of all servers together, whenever the meter was restarted."""
        self._sources = {name: _Source(client) for name, client in clients.items()}
        self._loads: list[ServerLoad] = []
        self._before: float | None = None
        self._first_before = _Reading()
        self._watch = LoadWatch(self._sources, interval=interval, seen=self._seen)

    async def watch(self) -> None:
        """Returns when no server has metrics."""
        await self._watch.watch()

    def restart(self) -> None:
        total = self._watch.total
        self._loads.clear()
        self._before = total.preemptions if total else None
        self._first_before = self._firsts()

    def read(self) -> LoadFigures | None:
        """Since the restart; None when no server said anything."""
        loads = self._loads
        if not loads:
            return None
        kvs = [load.kv for load in loads if load.kv is not None]
        preemptions = loads[-1].preemptions
        firsts = self._firsts()
        requests = firsts.requests - self._first_before.requests
        return LoadFigures(
            polls=len(loads),
            running=_mean([load.running for load in loads]),
            running_max=max(load.running for load in loads),
            waiting=_mean([load.waiting for load in loads]),
            waiting_max=max(load.waiting for load in loads),
            kv_max=round(max(kvs), 4) if kvs else None,
            preemptions=None if preemptions is None else preemptions - (self._before or 0.0),
            first_token=round((firsts.waited - self._first_before.waited) / requests, 6) if requests > 0 else None,
        )

    def _firsts(self) -> _Reading:
        now = [source.now for source in self._sources.values()]
        return _Reading(sum(each.waited for each in now), sum(each.requests for each in now))

    def _seen(self, _name: str, _load: ServerLoad) -> None:
        total = self._watch.total
        if total is not None:
            self._loads.append(total)
            self.history.append(total)


def _mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 3)


def _first_tokens(text: str) -> _Reading:
    reading = _Reading()
    for kind, value in _FIRST_TOKEN.findall(text):
        try:
            number = float(value)
        except ValueError:
            continue
        if kind == "sum":
            reading.waited += number
        else:
            reading.requests += number
    return reading
