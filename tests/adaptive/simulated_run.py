"""A closed loop of requests against the simulated server: a policy says how many, faults come at their times."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from collector.load import ServerLoad
from tests.adaptive.simulated_server import Machine, Sequence, SimulatedServer

_ROUND_TRIP = 0.02
_PENDING_PER_SLOT = 2


@dataclass(frozen=True)
class Shape:
    """A load: mean tokens of the prompts and of the answers; `then` is another one from half time."""

    name: str
    prompt: int
    output: int
    seconds: float
    machine: Machine = field(default_factory=Machine)
    then: Shape | None = None


@dataclass(frozen=True)
class Faults:
    """Spans are (from, to) in seconds. `cap` in flight and above is answered with a 429 and `retry_after`."""

    cap: int | None = None
    retry_after: float = 0.0
    no_metrics: tuple[float, float] | None = None
    down: tuple[float, float] | None = None
    others: tuple[float, float] | None = None
    """Another user's requests, `others_count` at a time."""
    others_count: int = 0
    refuses: tuple[float, float] | None = None
    """All that is new is answered with a 503."""


class Policy(Protocol):
    """Decides how many requests are in flight."""

    @property
    def limit(self) -> int: ...
    @property
    def held_until(self) -> float: ...
    def completed(self, in_flight: int, latency: float, tokens: float) -> object: ...
    def loaded(self, load: ServerLoad, in_flight: int) -> object: ...
    def refused(self, sent: float, in_flight: int, retry_after: float) -> object: ...
    def faulted(self) -> None: ...


@dataclass
class Outcome:
    """Of one run. `limits` holds (time, limit) at each second."""

    rollouts: int = 0
    seconds: float = 0.0
    running: float = 0.0
    waiting: float = 0.0
    preemptions: int = 0
    refusals: int = 0
    ttft: list[float] = field(default_factory=list)
    limits: list[tuple[float, int]] = field(default_factory=list)
    waits: list[tuple[float, int]] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    most_in_flight: int = 0

    @property
    def rate(self) -> float:
        return self.rollouts / self.seconds

    @property
    def waiting_share(self) -> float:
        """Mean waiting over mean running."""
        return self.waiting / self.running if self.running else 0.0

    @property
    def ttft_p95(self) -> float:
        return sorted(self.ttft)[int(0.95 * len(self.ttft))] if self.ttft else 0.0

    def limit_at(self, time: float) -> int:
        return next(limit for at, limit in self.limits if at >= time)

    def limit_over(self, start: float, end: float) -> list[int]:
        return [limit for at, limit in self.limits if start <= at <= end]

    def rate_over(self, start: float, end: float) -> float:
        return sum(start <= at < end for at in self.ends) / (end - start)


class SimulatedRun:
    """One run of `shape` under a policy, for the shape's seconds of virtual time."""

    def __init__(self, shape: Shape, faults: Faults, policy: Callable[[Callable[[], float]], Policy], seed: int = 0):
        self.shape = shape
        self.faults = faults
        self.server = SimulatedServer(shape.machine)
        self.policy = policy(lambda: self.server.now)
        self.outcome = Outcome()
        self._rng = random.Random(seed)
        self._in_flight = 0
        self._pending: list[tuple[float, int]] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._tie = 0

    def run(self) -> Outcome:
        faults, shape, server, outcome = self.faults, self.shape, self.server, self.outcome
        self._at(0.0, self._poll)
        if faults.down:
            self._at(faults.down[0], self._go_down)
            self._at(faults.down[1], self._come_up)
        if faults.others:
            self._at(faults.others[0], self._others_come)
        while server.now < shape.seconds:
            self._due()
            self._fill()
            until = min(shape.seconds, self._next_event())
            if server.idle:
                server.now = max(until, server.now + 0.001)
            else:
                server.advance(until)
        outcome.seconds = server.now
        outcome.running = server.running_seconds / server.now
        outcome.waiting = server.waiting_seconds / server.now
        outcome.preemptions = server.preemptions
        return outcome

    def _at(self, time: float, do: Callable[[], None]) -> None:
        self._tie += 1
        heapq.heappush(self._events, (time, self._tie, do))

    def _next_event(self) -> float:
        times = [self._events[0][0]]
        if self._pending:
            times.append(self._pending[0][0])
        if self.policy.held_until > self.server.now:
            times.append(self.policy.held_until)
        return min(time for time in times if time > self.server.now or time == times[0])

    def _due(self) -> None:
        while self._events and self._events[0][0] <= self.server.now:
            heapq.heappop(self._events)[2]()

    def _poll(self) -> None:
        now = self.server.now
        self._at(now + 1.0, self._poll)
        gone = self.faults.no_metrics
        load = self.server.load()
        if load is not None and not (gone and gone[0] <= now < gone[1]):
            self.policy.loaded(load, self._in_flight)
        self.outcome.limits.append((now, self.policy.limit))
        self.outcome.waits.append((now, len(self.server.waiting)))

    def _go_down(self) -> None:
        self.server.stop()

    def _come_up(self) -> None:
        self.server.up = True

    def _others_come(self) -> None:
        for _ in range(self.faults.others_count):
            self._send_other()

    def _send_other(self) -> None:
        assert self.faults.others is not None
        if self.server.now < self.faults.others[1] and self.server.up:
            self.server.send(self._sequence(lambda *_: self._send_other()))

    def _fill(self) -> None:
        """Sends what the policy allows: retries that are due, else fresh requests, as the collector does."""
        now = self.server.now
        while self.server.up and self._in_flight < self.policy.limit and now >= self.policy.held_until:
            attempt = 1
            if self._pending and self._pending[0][0] <= now:
                attempt = heapq.heappop(self._pending)[1] + 1
            elif len(self._pending) >= max(16, _PENDING_PER_SLOT * self.policy.limit):
                return
            self._send(attempt)

    def _send(self, attempt: int) -> None:
        self._in_flight += 1
        self.outcome.most_in_flight = max(self.outcome.most_in_flight, self._in_flight)
        if self._is_refused():
            sent = self.server.now
            self._at(sent + _ROUND_TRIP, lambda: self._refused(sent, attempt))
        else:
            self.server.send(self._sequence(lambda sequence, well: self._ended(sequence, well, attempt)))

    def _is_refused(self) -> bool:
        cap, span = self.faults.cap, self.faults.refuses
        if span is not None and span[0] <= self.server.now < span[1]:
            return True
        return cap is not None and self.server.running + len(self.server.waiting) >= cap

    def _refused(self, sent: float, attempt: int) -> None:
        self.outcome.refusals += 1
        self.policy.refused(sent, self._in_flight, self.faults.retry_after)
        self._in_flight -= 1
        self._retry(attempt, self.faults.retry_after)

    def _retry(self, attempt: int, wait: float) -> None:
        step = min(20.0, 0.5 * 2.0 ** (attempt - 1))
        heapq.heappush(self._pending, (self.server.now + wait + self._rng.uniform(0, step), attempt))

    def _ended(self, sequence: Sequence, well: bool, attempt: int) -> None:
        if well:
            self.outcome.rollouts += 1
            self.outcome.ends.append(self.server.now)
            self.outcome.ttft.append(sequence.first_token - sequence.sent)
            self.policy.completed(self._in_flight, self.server.now - sequence.sent, sequence.output)
        else:
            self.policy.faulted()
        self._in_flight -= 1
        if well:
            self._fill()
        else:
            self._retry(attempt, 0.0)

    def _sequence(self, on_end: Callable[[Sequence, bool], None]) -> Sequence:
        shape = self.shape
        if shape.then is not None and self.server.now >= shape.seconds / 2:
            shape = shape.then
        prompt = max(1, int(shape.prompt * self._rng.uniform(0.5, 1.5)))
        output = min(4 * shape.output, max(1, int(shape.output * self._rng.gammavariate(2.0, 0.5))))
        return Sequence(prompt, output, self.server.now, on_end)
