"""The controller's rules, one by one, on a clock that the test sets."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.adaptive import Controller, LimitChange
from collector.adaptive.gradient import HARD_MAX
from collector.load import ServerLoad


class Rig:
    """A controller, its clock, and a server whose load the test says."""

    def __init__(self, low: int = 1, high: int = 1000, start: int = 100) -> None:
        self.now = 0.0
        self.preemptions = 0.0
        self.controller = Controller("server", low, high, start, lambda: self.now)

    @property
    def limit(self) -> int:
        return self.controller.limit

    def load(
        self, waiting: float = 0, running: float = 100, kv: float | None = 0.1, *, in_flight: int | None = None
    ) -> LimitChange | None:
        """The next second's load."""
        self.now += 1.0
        seen = ServerLoad(self.now, running, waiting, kv, self.preemptions)
        return self.controller.loaded(seen, self.limit if in_flight is None else in_flight)

    def complete(self, count: int, in_flight: int | None = None) -> int:
        """So many completions of 10 s, all slots taken; the limit after them."""
        for _ in range(count):
            self.controller.completed(self.limit if in_flight is None else in_flight, 10.0, 100.0)
        return self.limit


def test_a_round_of_completions_doubles_in_slow_start_and_no_more_between_two_loads() -> None:
    """As many completions as are in flight are worth the factor 2; however many come, one load allows no more."""
    rig = Rig()
    rig.load()
    assert 165 <= rig.complete(100) <= 172
    assert rig.complete(1000) == 201
    rig.load()
    assert rig.complete(2000) == 403


def test_growth_is_slower_once_the_queue_was_seen() -> None:
    """Two loads in a row over the target end slow start: a round is worth a quarter from then on."""
    rig = Rig()
    rig.load(waiting=6)
    rig.load(waiting=6)
    rig.load()
    assert 120 <= rig.complete(100) <= 125


@pytest.mark.parametrize(("in_flight", "grows"), [(89, False), (90, True)])
def test_a_limit_that_is_not_used_does_not_grow(in_flight: int, grows: bool) -> None:
    """Nine tenths of it must be in flight."""
    rig = Rig()
    rig.load(in_flight=in_flight)
    assert (rig.complete(50, in_flight) > 100) is grows


def test_replies_that_come_in_one_burst_count_as_all_that_were_out() -> None:
    """Answers of equal length end together: all slots were taken, and a round is worth what it is worth one by one."""
    burst, single = Rig(), Rig()
    for rig in (burst, single):
        rig.load()
    for left in range(100, 0, -1):
        burst.controller.completed(left, 10.0, 100.0)
    assert burst.limit == single.complete(100, in_flight=100) == 200
    burst.now += 5.0
    before = burst.limit
    burst.controller.completed(80, 10.0, 100.0)
    assert burst.limit == before


@pytest.mark.parametrize(
    ("waiting", "running", "grows"), [(2, 10, True), (3, 10, False), (5, 100, True), (6, 100, False)]
)
def test_nothing_grows_beside_a_queue(waiting: int, running: int, grows: bool) -> None:
    """The target is 5% of what runs, and at least 2."""
    rig = Rig()
    rig.load(waiting, running)
    assert (rig.complete(50) > 100) is grows


def test_growth_ends_as_the_cache_fills() -> None:
    """Full speed while it is half empty, slower near its end, none at 92%; a server that does not tell has room."""
    grown = []
    for kv in (None, 0.5, 0.8, 0.91, 0.92):
        rig = Rig()
        rig.load(kv=kv)
        grown.append(rig.complete(60))
    assert grown[0] == grown[1] > grown[2] > grown[3] >= grown[4] == 100


def test_a_queue_over_three_loads_is_cut_to_what_runs_and_a_little() -> None:
    """A burst of two is nothing. The third takes the limit to running + target, and growth rests for two seconds."""
    rig = Rig()
    assert rig.load(30, 70) is None
    assert rig.load(30, 70) is None
    change = rig.load(30, 70)
    assert change == LimitChange(3.0, "server", 100, 73, "30 waiting, 70 running")
    rig.controller.loaded(ServerLoad(4.0, 73, 0), 73)
    assert rig.complete(20) == 73
    rig.load(0, 73)
    rig.load(0, 73)
    assert rig.complete(20) > 73


def test_among_other_users_only_our_part_of_the_queue_is_ours() -> None:
    """50 of 200 at the server are ours: the limit goes down in proportion to the queue, not up to what runs."""
    rig = Rig(start=50)
    for _ in range(3):
        rig.load(100, 100)
    assert rig.limit == int(50 * 105 / 200)


def test_a_preemption_cuts_at_once_and_a_restarted_server_none() -> None:
    """0.85 for one or many; a counter that fell belongs to a new process."""
    rig = Rig()
    rig.preemptions = 7
    assert rig.load() is None
    rig.preemptions = 9
    change = rig.load()
    assert (rig.limit, change and change.reason) == (85, "2 preempted")
    rig.preemptions = 0
    assert rig.load() is None


def test_after_a_preemption_growth_rests_for_half_a_mean_latency() -> None:
    """Completions take 10 s here: five seconds."""
    rig = Rig()
    rig.load()
    rig.complete(1, in_flight=1)
    rig.preemptions = 1
    rig.load()
    for _ in range(4):
        rig.load()
        assert rig.complete(20) == 85
    rig.load()
    assert rig.complete(20) > 85


def test_a_full_cache_scales_the_limit_down() -> None:
    """To what would fill 92% of it."""
    rig = Rig()
    change = rig.load(kv=0.98)
    assert (rig.limit, change and change.reason) == (93, "cache 98% full")


def test_a_cut_that_has_yet_to_take_effect_is_not_repeated() -> None:
    """Requests in flight are never cancelled: while more are out than allowed, only the queue itself may ask again."""
    rig = Rig()
    for _ in range(5):
        rig.preemptions += 3
        rig.load(kv=0.99, in_flight=100)
    assert rig.limit == 92
    for _ in range(3):
        rig.load(40, 60, in_flight=100)
    assert rig.limit == 63


def test_refusals_cut_once_an_episode() -> None:
    """Those that were sent together count once, and so do further ones, until one sent since is answered well."""
    rig = Rig()
    rig.load()
    rig.now = 20.0
    changes = [rig.controller.refused(19.0, 100, 0.0) for _ in range(50)]
    assert (rig.limit, sum(change is not None for change in changes)) == (70, 1)
    rig.now = 30.0
    assert rig.controller.refused(25.0, 70, 0.0) is None
    rig.controller.completed(70, 5.0, 100.0)
    assert rig.controller.refused(26.0, 70, 0.0) is not None
    assert rig.limit == 49


def test_retry_after_holds_the_endpoint() -> None:
    """The longest that was asked for counts."""
    rig = Rig()
    rig.now = 10.0
    rig.controller.refused(9.0, 100, 7.0)
    rig.controller.refused(9.0, 100, 3.0)
    assert rig.controller.held_until == 17.0


def test_what_was_refused_is_not_run_into_again_at_once() -> None:
    """Growth ends just below it for a while, then tries it slowly, and forgets it once it has passed it."""
    rig = Rig()
    rig.load()
    rig.controller.refused(0.5, 100, 0.0)
    for _ in range(10):
        rig.load()
        rig.complete(100)
    assert rig.limit == 97
    rounds = 0
    while rig.limit < 106:
        rig.load()
        rig.complete(100)
        rounds += 1
    assert rounds > 8
    rig.load()
    assert rig.complete(100) > 120


@pytest.mark.parametrize("fault", [True, False])
def test_other_faults_only_pause_growth(fault: bool) -> None:
    """A timeout or a 500 says nothing of the number in flight."""
    rig = Rig()
    rig.load()
    if fault:
        rig.controller.faulted()
    assert (rig.complete(20) == 100) is fault
    rig.now += 6.0
    assert rig.complete(20) > 100


def test_an_old_load_freezes_growth() -> None:
    """Fifteen seconds is as old as it may be; the next load takes it up again."""
    rig = Rig()
    rig.load()
    rig.now += 15.0
    assert (grown := rig.complete(20)) > 100
    rig.now += 0.1
    assert rig.complete(20) == grown
    rig.load()
    assert rig.complete(20) > grown


def test_without_any_load_the_latency_of_a_token_steers_up_to_a_low_limit() -> None:
    """As long as a token takes as long as before the limit grows to its hard maximum."""
    rig = Rig(start=10)
    assert rig.complete(5000) == HARD_MAX


def test_longer_answers_are_no_slower_server() -> None:
    """Ten times the tokens in ten times the time: the limit grows on. Three times the time alone cuts it."""
    rig = Rig(start=40)
    rig.complete(120)
    before = rig.limit
    for _ in range(120):
        rig.controller.completed(rig.limit, 100.0, 1000.0)
    assert rig.limit > before
    before = rig.limit
    changes = [rig.controller.completed(rig.limit, 30.0, 100.0) for _ in range(120)]
    assert rig.limit < before
    assert any("as long" in change.reason for change in changes if change)


EVENTS = st.one_of(
    st.tuples(st.just("complete"), st.integers(1, 80), st.floats(0.01, 100), st.integers(0, 5000)),
    st.tuples(st.just("load"), st.integers(0, 500), st.integers(0, 500), st.floats(0, 1)),
    st.tuples(st.just("refuse"), st.integers(1, 80), st.floats(0, 20), st.integers(0, 60)),
    st.tuples(st.just("fault"), st.integers(0, 3), st.floats(0, 30), st.integers(0, 9)),
)


@settings(deadline=None)
@given(events=st.lists(EVENTS, max_size=120), low=st.integers(1, 20), wide=st.integers(0, 60), start=st.integers(1, 99))
def test_the_limit_keeps_its_bounds_whatever_comes(
    events: list[tuple[str, int, float, float]], low: int, wide: int, start: int
) -> None:
    """Any order of events: the limit is between its bounds, and the changes told lead from each value to the next."""
    rig = Rig(low, low + wide, start)
    told = rig.limit
    for kind, number, seconds, size in events:
        rig.now += 0.5
        change: LimitChange | None = None
        if kind == "complete":
            change = rig.controller.completed(number, seconds, size)
        elif kind == "load":
            rig.preemptions = number % 7
            change = rig.load(seconds, number, size, in_flight=number)
        elif kind == "refuse":
            change = rig.controller.refused(rig.now - seconds, number, size)
        else:
            rig.controller.faulted()
            rig.now += seconds
        if change is not None:
            assert (change.old, change.new) == (told, rig.limit)
            assert change.old != change.new
            told = change.new
        assert rig.limit == told
        assert low <= rig.limit <= low + wide
