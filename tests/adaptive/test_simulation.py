"""The controller against a simulated server on virtual time, beside the best fixed number in the same one."""

from __future__ import annotations

import statistics

import pytest

from tests.adaptive.simulated_run import Faults, Outcome, Shape
from tests.adaptive.simulation import (
    FAULTS,
    HIGH,
    LONG_OUTPUT,
    MIXED,
    SHAPES,
    SHORT,
    Best,
    auto,
    best_fixed,
    blind,
    fixed,
    refusals_alone,
    run,
)

FEW = (64, 96, 128, 256, 320)
"""Levels that hold the best of `SHORT` under each fault."""
MOST = (32, 48, 64, 96, 128, 192, 256, 320)
NAMES = [shape.name for shape in SHAPES]


def best(shape: int) -> Best:
    return best_fixed(SHAPES[shape], levels=MOST)


def steered(shape: int) -> Outcome:
    return run(SHAPES[shape], auto)


@pytest.mark.parametrize("shape", range(4), ids=NAMES)
def test_nine_tenths_of_the_best_fixed_number_without_knowing_it(shape: int) -> None:
    """Rollouts a second over the whole run, its start included, and a queue of a tenth of what runs at most."""
    outcome = steered(shape)
    assert outcome.rate >= 0.9 * best(shape).outcome.rate
    assert outcome.waiting_share <= 0.10
    assert outcome.most_in_flight <= HIGH


@pytest.mark.parametrize("shape", range(4), ids=NAMES)
def test_it_settles(shape: int) -> None:
    """Over the last third of the run the limit stays within a quarter of its middle."""
    end = SHAPES[shape].seconds
    limits = steered(shape).limit_over(2 * end / 3, end)
    middle = statistics.median(limits)
    assert max(limits) <= 1.25 * middle
    assert min(limits) >= 0.75 * middle


def test_it_follows_a_step_of_the_load() -> None:
    """Short prompts after long ones leave room in the cache: the limit more than doubles, and uses what it got."""
    outcome = steered(SHAPES.index(MIXED))
    end = MIXED.seconds
    assert outcome.limit_at(end - 10) > 2 * outcome.limit_at(end / 2 - 10)


@pytest.mark.parametrize("most", [8, 40])
def test_it_never_passes_its_upper_bound(most: int) -> None:
    """Where the server could do with far more."""
    from collector.adaptive import Controller

    outcome = run(SHORT, lambda clock: Controller("server", 1, most, 32, clock))
    assert outcome.most_in_flight == most


def test_it_preempts_next_to_nothing() -> None:
    """A fixed number as good, and refusals alone, throw work away by the thousand."""
    index = SHAPES.index(LONG_OUTPUT)
    assert steered(index).preemptions < 0.05 * steered(index).rollouts
    assert best(index).outcome.preemptions > 1000
    assert run(LONG_OUTPUT, refusals_alone).preemptions > 1000


KEPT = [name for name in FAULTS if not name.startswith(("another", "metrics vanish in"))]


@pytest.mark.parametrize("name", KEPT)
def test_nine_tenths_under_faults_too(name: str) -> None:
    """Each against the best fixed number under the same fault."""
    outcome = run(SHORT, auto, FAULTS[name])
    assert outcome.rate >= 0.9 * best_fixed(SHORT, FAULTS[name], FEW).outcome.rate
    assert outcome.waiting_share <= 0.10


def test_refusals_end_once_the_cap_is_known() -> None:
    """Six of them in five minutes, where the best fixed number has forty thousand."""
    assert run(SHORT, auto, FAULTS["429 above 96 in flight"]).refusals < 20


def test_nothing_grows_while_the_metrics_are_gone_and_all_does_afterwards() -> None:
    """They vanish in the midst of slow start: the limit rests from the fifteenth second on, and is made up for."""
    outcome = run(SHORT, auto, FAULTS["metrics vanish in slow start"])
    assert len(set(outcome.limit_over(19.0, 60.0))) == 1
    assert outcome.limit_at(140.0) > 250
    assert outcome.rate_over(150.0, 300.0) >= 0.9 * run(SHORT, fixed(256)).rate_over(150.0, 300.0)


def test_it_makes_room_for_another_user_and_takes_it_back() -> None:
    """While the other has half the server the queue is short again within seconds; afterwards all is as before."""
    shared = FAULTS["another user's 128 for 100 s"]
    outcome = run(SHORT, auto, shared)
    assert outcome.limit_at(150.0) < 0.7 * outcome.limit_at(95.0)
    assert max(wait for at, wait in outcome.waits if 115 <= at < 200) <= 32
    assert outcome.limit_at(280.0) >= 0.95 * outcome.limit_at(95.0)
    polite = max((run(SHORT, fixed(level), shared) for level in FEW), key=_rate_if_polite)
    assert outcome.rate >= 0.9 * polite.rate


def _rate_if_polite(outcome: Outcome) -> float:
    return outcome.rate if outcome.waiting_share <= 0.10 else 0.0


def test_a_server_that_is_gone_for_a_while_finds_it_as_it_was() -> None:
    """A restart, and half a minute of 503: the limit of before is there again within a minute."""
    for name in ("server restarts", "503 alone for 30 s"):
        outcome = run(SHORT, auto, FAULTS[name])
        assert outcome.limit_at(190.0) >= 0.95 * outcome.limit_at(95.0)


@pytest.mark.parametrize("shape", SHAPES, ids=NAMES)
def test_without_metrics_it_stays_low_and_is_no_worse_than_a_careful_number(shape: Shape) -> None:
    """The gradient ends at its hard maximum: nine tenths of what a fixed 32 gives, and no more than 64 out."""
    outcome = run(shape, blind)
    assert outcome.most_in_flight <= 64
    assert outcome.rate >= 0.9 * run(shape, fixed(32)).rate


def test_the_simulated_server_loses_no_request() -> None:
    """Its books: with a number that is never reached what is in flight runs or waits, and the cache is never passed."""
    outcome = run(LONG_OUTPUT, fixed(500))
    assert outcome.running + outcome.waiting == pytest.approx(500, rel=0.02)
    assert outcome.preemptions > 1000
    assert run(SHORT, fixed(10), Faults(cap=10)).refusals == 0
