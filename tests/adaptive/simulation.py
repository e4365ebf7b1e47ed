"""The load shapes and faults of the simulation, its policies, and the sweep that finds the best fixed number."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

from collector.adaptive import Controller
from collector.load import ServerLoad
from tests.adaptive.simulated_run import Faults, Outcome, Policy, Shape, SimulatedRun
from tests.adaptive.simulated_server import Machine

NONE = Faults()
HIGH = 1024
START = 32
LEVELS = (8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256, 288, 384, 512)

SHORT = Shape("short prompt, short output", 150, 120, 300.0)
LONG_OUTPUT = Shape("short prompt, long output", 200, 1200, 1500.0, Machine(cache=100_000))
LONG_PROMPT = Shape("long prompt, short output", 6000, 150, 300.0, Machine(cache=300_000))
MIXED = Shape("mixed, with a step change", 800, 300, 600.0, Machine(cache=120_000), replace(SHORT, prompt=300))
FEW_LONG = replace(LONG_OUTPUT, name="long output, a cache for 40", machine=Machine(cache=40_000))
"""So few sequences that the cache's fill swings by itself: what the controller is worst at."""
SHAPES = (SHORT, LONG_OUTPUT, LONG_PROMPT, MIXED)

FAULTS = {
    "429 above 96 in flight": Faults(cap=96),
    "429 above 96, Retry-After 2": Faults(cap=96, retry_after=2.0),
    "503 alone for 30 s": Faults(refuses=(100.0, 130.0)),
    "metrics vanish for 60 s": Faults(no_metrics=(60.0, 120.0)),
    "metrics vanish in slow start": Faults(no_metrics=(3.0, 60.0)),
    "server restarts": Faults(down=(100.0, 115.0)),
    "another user's 128 for 100 s": Faults(others=(100.0, 200.0), others_count=128),
}


class Fixed:
    """A plain number."""

    held_until = float("-inf")

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def completed(self, in_flight: int, latency: float, tokens: float) -> object: ...
    def loaded(self, load: ServerLoad, in_flight: int) -> object: ...
    def refused(self, sent: float, in_flight: int, retry_after: float) -> object: ...
    def faulted(self) -> None: ...


class RefusalsAlone(Fixed):
    """Additive increase, and a cut at each refusal: what clients do that know of nothing but a 429."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(START)
        self._clock = clock
        self._value = float(START)
        self._cut_at = -1.0

    def completed(self, in_flight: int, latency: float, tokens: float) -> object:
        if in_flight >= 0.9 * self.limit:
            self._value = min(HIGH, self._value + 1.0 / self._value * 4)
            self.limit = int(self._value)
        return None

    def refused(self, sent: float, in_flight: int, retry_after: float) -> object:
        if sent > self._cut_at:
            self._cut_at = self._clock()
            self._value = max(1.0, 0.7 * self._value)
            self.limit = int(self._value)
        return None


class Blind(Controller):
    """The controller where a server shows nothing."""

    def loaded(self, load: ServerLoad, in_flight: int) -> None:
        return None


def auto(clock: Callable[[], float]) -> Policy:
    return Controller("server", 1, HIGH, START, clock)


def blind(clock: Callable[[], float]) -> Policy:
    return Blind("server", 1, HIGH, START, clock)


def refusals_alone(clock: Callable[[], float]) -> Policy:
    return RefusalsAlone(clock)


@functools.cache
def fixed(number: int) -> Callable[[Callable[[], float]], Policy]:
    return lambda _: Fixed(number)


@functools.cache
def run(shape: Shape, policy: Callable[[Callable[[], float]], Policy], faults: Faults = NONE) -> Outcome:
    return SimulatedRun(shape, faults, policy).run()


@dataclass(frozen=True)
class Best:
    """The best of the fixed numbers: the smallest within 1% of the highest rate."""

    number: int
    outcome: Outcome


def best_fixed(shape: Shape, faults: Faults = NONE, levels: tuple[int, ...] = LEVELS) -> Best:
    outcomes = {level: run(shape, fixed(level), faults) for level in levels}
    highest = max(outcome.rate for outcome in outcomes.values())
    number = next(level for level, outcome in outcomes.items() if outcome.rate >= 0.99 * highest)
    return Best(number, outcomes[number])
