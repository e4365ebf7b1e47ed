"""One level, once: a closed loop of the collector's own parts, measured over a window of steady load.

The slots fill, everything warms up at the level that is measured, and the window opens without a pause in between. When
it closes nothing new is sent; what is still out is the tail, which is reported apart. Requests take the way that a
run's do: built by the protocol, sent by its client, tried again by its policy, judged by its verifier. Only the journal
is missing: rows go to a plain file, for the pairs to be counted.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import httpx
import msgspec

from collector.adaptive.history import read_steps
from collector.adaptive.log import forget_limits, limits_path
from collector.adaptive.steering import Steering
from collector.attempts import Attempts
from collector.crew import Crew
from collector.endpoints import Endpoints, open_endpoints
from collector.errors import ServerError
from collector.garbage import calm_collector
from collector.health import Health
from collector.journal.runfile import now as utc_now
from collector.limiter import FixedLimiter
from collector.observer import Observer
from collector.openfiles import connections_allowed
from collector.parallelism.ends import TrialEnds
from collector.parallelism.meters import ClientMeter, Flights, ServerMeter
from collector.parallelism.records import AUTO, LimitPath, Phase, RequestRecord, TrialRecord
from collector.parallelism.supply import Supply
from collector.protocols import Protocol
from collector.records.rows import PromptRow
from collector.settings import CollectSettings
from collector.stopping import StopSwitch, first_error
from collector.verifiers import Verifier
from collector.work import Work, jobs_of

__all__ = ["AUTO_MOST", "Plan", "Trial", "run_trial", "settings_at"]

AUTO_MOST = 1024
"""What a run's `auto` may come to (`options.parser`; a test holds them equal)."""

_PENDING_PER_SLOT = 2
_PENDING_AT_LEAST = 16
_LOOK = 0.01
_LEAST_POLL = 0.25
_POLLS = 10
"""Readings of the server's metrics in a window, if that makes no more than four a second."""
_TURNS = 3
"""Requests of each slot that a window should see: servers work in waves."""
_LEAST_ENDED = 30
_PATIENCE = 5.0
"""A window that is not full yet is held open for so many times its length; a warm-up may take as long."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One trial: its number, the pass it belongs to, the level, the place of its first prompt, its salt if any."""

    trial: int
    part: int
    level: int
    first: int
    salt: str | None


@dataclass(frozen=True, slots=True)
class Trial:
    """What a trial gave: its record, those of its attempts, and the model that answered."""

    record: TrialRecord
    requests: list[RequestRecord]
    model: str | None


def settings_at(collect: CollectSettings, level: int) -> CollectSettings:
    """What a run at that level would be given: a number, or what `--num-samples-in-parallel auto` means."""
    if level != AUTO:
        return replace(collect, num_samples_in_parallel=level)
    scratch = collect.output.with_name("bench.part.jsonl")
    most = min(AUTO_MOST, connections_allowed())
    return replace(collect, num_samples_in_parallel=most, parallel_min=1, output=scratch, resume=False)


async def run_trial(
    plan: Plan,
    settings: CollectSettings,
    rows: Sequence[PromptRow],
    protocol: Protocol,
    verifier: Verifier | None,
    ends: Callable[[Flights], TrialEnds],
    *,
    warmup: float,
    seconds: float,
    observer: Observer,
    stop: StopSwitch,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Trial | None:
    """The trial, or None when the stop switch ended it early. `ends` makes the place where replies go.

    Raises ServerError when the server, or the verifier's, is gone.
    """
    settings = settings_at(settings, plan.level)
    if plan.salt is not None:
        settings = replace(settings, extra_body={**settings.extra_body, "cache_salt": plan.salt})
    async with open_endpoints(settings, protocol, transport, observer) as endpoints:
        settings = replace(settings, model=endpoints.model)
        supply = Supply(rows, settings, protocol, plan.first)
        flights = Flights(settings.timeouts, observer, plan.level or 1)
        loop = _Loop(settings, protocol, endpoints, supply, flights, ends(flights), observer, stop)
        return await loop.measured(plan, warmup, seconds, verifier)


@dataclass(slots=True)
class _Window:
    """When a trial began, and its window opened and closed, in monotonic seconds; and what the meters read in it."""

    began: float
    opened: float = 0.0
    closed: float = 0.0
    warm: bool = False
    enough: bool = False
    read: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Meters:
    flights: Flights
    client: ClientMeter
    server: ServerMeter

    def restart(self) -> None:
        for meter in (self.flights, self.client, self.server):
            meter.restart()

    def read(self) -> dict[str, Any]:
        """The fields of a TrialRecord."""
        in_flight, most = self.flights.read()
        load = self.server.read()
        return {"in_flight": round(in_flight, 3), "in_flight_max": most, "load": load, **self.client.read()}


class _Loop:
    """The workers of one trial, and what reads them."""

    def __init__(
        self,
        settings: CollectSettings,
        protocol: Protocol,
        endpoints: Endpoints,
        supply: Supply,
        flights: Flights,
        ends: TrialEnds,
        observer: Observer,
        stop: StopSwitch,
    ) -> None:
        slots = settings.num_samples_in_parallel
        rng = random.Random(settings.seed)
        self.settings = settings
        self.endpoints = endpoints
        self.supply = supply
        self.flights = flights
        self.ends = ends
        self.stop = stop
        self.steering = (
            Steering(settings, endpoints, observer, lambda: self.crew.grow()) if settings.parallel_min else None
        )
        self.limiter = self.steering.limiter if self.steering else FixedLimiter(slots)
        jobs = jobs_of(supply.tasks(), lambda: self.attempts.samples)
        self.work = Work(jobs, max(_PENDING_AT_LEAST, _PENDING_PER_SLOT * slots))
        self.health = Health(endpoints, protocol, observer, self.work.wake_all, self._end_with)
        self._gone: ServerError | None = None
        self.attempts = Attempts(
            settings, protocol, endpoints, self.limiter, self.work, self.health, flights, ends, observer, rng,
            self.steering,
        )  # fmt: skip
        self.crew = Crew(ends, self.work, self.limiter, endpoints, self.attempts)

    async def measured(self, plan: Plan, warmup: float, seconds: float, verifier: Verifier | None) -> Trial | None:
        try:
            with calm_collector():
                record = await self._run(plan, warmup, seconds, verifier)
        except* Exception as errors:
            raise first_error(errors) from None
        finally:
            if self.steering is not None:
                self.steering.close()
                forget_limits(self.settings.output)
        if self._gone is not None:
            raise self._gone
        if self.stop.thrown:
            return None
        opened = record.warmup_s
        closed = opened + record.measured_s
        for request in self.ends.records:
            request.trial, request.level = plan.trial, plan.level
            request.phase = _phase(request.ended, opened, closed)
        measured = sum(each.phase == "measured" and each.failure is None for each in self.ends.records)
        return Trial(msgspec.structs.replace(record, rollouts=measured), self.ends.records, self.endpoints.model)

    async def _run(self, plan: Plan, warmup: float, seconds: float, verifier: Verifier | None) -> TrialRecord:
        clients = {endpoint.name: endpoint.client for endpoint in self.endpoints.all}
        meters = _Meters(self.flights, ClientMeter(), ServerMeter(clients, max(_LEAST_POLL, seconds / _POLLS)))
        window = _Window(began=time.monotonic())
        when = utc_now()
        self.ends.began = window.began
        async with verifier or nullcontext(), anyio.create_task_group() as beside:
            for watch in (self.flights.watch, meters.client.watch, meters.server.watch, self._stop_when_asked):
                beside.start_soon(watch)
            self.health.watch(beside)
            if self.steering is not None:
                beside.start_soon(self.steering.load.watch)
            self.ends.begin(beside)
            async with anyio.create_task_group() as group:
                group.start_soon(self.crew.through, max(AUTO_MOST, self.limiter.limit))
                await self._measure(window, meters, warmup, seconds)
                self.work.stop()
            await self.ends.finish()
            beside.cancel_scope.cancel()
        return TrialRecord(
            trial=plan.trial,
            level=plan.level,
            part=plan.part,
            began=when,
            first=plan.first,
            prompts=self.supply.begun,
            warm=window.warm,
            enough=window.enough,
            warmup_s=window.opened - window.began,
            measured_s=window.closed - window.opened,
            tail_s=max(0.0, self.flights.last[1] - window.closed),
            rollouts=0,
            stale_retries=self.endpoints.stale_retries,
            auto=self._limits(window.began, meters.server),
            **window.read,
        )

    def _limits(self, began: float, server: ServerMeter) -> LimitPath | None:
        """How the limit went, read from its log as a run leaves it; None where it was a number."""
        if self.steering is None:
            return None
        self.steering.close()
        steps = read_steps(limits_path(self.settings.output), self.settings.num_samples_in_parallel)
        return LimitPath(
            steps=tuple((step.at, step.limit, step.reason) for step in steps),
            loads=tuple((round(load.at - began, 3), load.running, load.waiting) for load in server.history),
        )

    async def _measure(self, window: _Window, meters: _Meters, warmup: float, seconds: float) -> None:
        """Opens the window once all is warm, and closes it when it has seen enough."""
        window.warm = await self._until(lambda: self._is_warm, warmup, _PATIENCE * seconds)
        meters.restart()
        window.opened = time.monotonic()
        needed = self.ends.ended + max(_LEAST_ENDED, _TURNS * self.limiter.limit)
        window.enough = await self._until(lambda: self.ends.ended >= needed, seconds, _PATIENCE * seconds)
        window.closed = time.monotonic()
        window.read = meters.read()

    @property
    def _is_warm(self) -> bool:
        if self.steering is None:
            return self.flights.turned_over
        return self.ends.ended >= max(_LEAST_ENDED, _TURNS * self.limiter.limit)

    async def _until(self, there: Callable[[], bool], least: float, most: float) -> bool:
        """Waits `least` seconds, then until it is `there`, `most` in all; whether it is. The switch cuts it short."""
        began = time.monotonic()
        while not self.stop.thrown and self._gone is None:
            passed = time.monotonic() - began
            if passed >= least and (there() or passed >= most):
                break
            await anyio.sleep(min(_LOOK, max(least - passed, 0.001)) if passed < least else _LOOK)
        return there()

    def _end_with(self, gone: ServerError) -> None:
        self._gone = gone
        self.crew.give_up()

    async def _stop_when_asked(self) -> None:
        await self.stop.wait()
        self.work.stop()


def _phase(ended: float, opened: float, closed: float) -> Phase:
    if ended < opened:
        return "warm-up"
    return "measured" if ended < closed else "tail"
