"""Usable pairs so far and at the end: who is counted, and how far the estimate may be trusted."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.live.yields import Expected, Yields, expected
from tests.live.parts import row


def yields(prompts: int, repeats: int = 4, before: dict[int, int] | None = None) -> Yields:
    there = before or {}
    return Yields(prompts, lambda _: repeats, lambda each: there.get(each.task_index, 0), gap=0.15)


def test_a_prompt_counts_once_all_its_rollouts_have_ended() -> None:
    """In whatever order they come, failed ones among them; usable by the gap of best and worst."""
    counted = yields(3, repeats=2)
    counted.ended(row(0), 0.5)
    counted.ended(row(1), 1.0)
    assert (counted.finished, counted.usable) == (0, 0)
    counted.ended(row(0), 0.6)  # too close
    counted.ended(row(2), None)
    counted.ended(row(1), 0.0)
    counted.ended(row(2), 1.0)  # alone
    assert (counted.finished, counted.usable) == (3, 1)
    assert counted.expected == Expected(1, 1, 1)


def test_tasks_that_will_not_be_made_end_their_prompt() -> None:
    """Early stop tells of them before or after the prompt's last rollout; the count is the same."""
    counted = yields(2, repeats=8)
    for reward in (0.0, 1.0):
        counted.ended(row(0), reward)
    counted.fewer(row(0), 6)
    counted.fewer(row(1), 6)
    for reward in (1.0, 1.0):
        counted.ended(row(1), reward)
    assert (counted.finished, counted.usable) == (2, 1)


def test_a_prompt_begun_by_an_earlier_run_is_passed_over() -> None:
    """Its other rewards are in the file; it is awaited like those to come, and a new one of it is no new prompt."""
    counted = yields(2, repeats=3, before={0: 2})
    counted.ended(row(0), 1.0)
    assert counted.finished == 0
    for reward in (0.0, 0.0, 1.0):
        counted.ended(row(1), reward)
    assert (counted.finished, counted.usable) == (1, 1)


def test_memory_holds_the_prompts_in_progress_alone() -> None:
    """A million finished prompts leave nothing."""
    counted = yields(100, repeats=2)
    for index in range(100):
        counted.ended(row(index), 0.0)
        counted.ended(row(index), 1.0)
        assert not counted._open


def test_those_who_finish_early_do_not_speak_for_all() -> None:
    """With early stop prompts that have a pair soon finish first: until the others of their time have, the estimate
    waits, and then it has both."""
    counted = yields(100, repeats=8)
    for index in range(8):
        counted.ended(row(index), 1.0)
    for index in range(1, 8):
        counted.ended(row(index), 0.0)
        counted.fewer(row(index), 6)
    assert (counted.finished, counted.usable) == (7, 7)
    assert counted.expected is None
    for _ in range(7):
        counted.ended(row(0), 1.0)
    assert counted.expected == Expected(87, 54, 98) == expected(7, 8, 100)


@given(st.permutations(range(12)), st.lists(st.booleans(), min_size=12, max_size=12))
def test_the_order_in_which_prompts_finish_changes_nothing_in_the_end(order: list[int], pairs: list[bool]) -> None:
    """And on the way the estimate never leaves what is still possible."""
    counted = yields(12, repeats=2)
    for index in range(12):
        counted.ended(row(index), 0.0)
    for index in order:
        counted.ended(row(index), float(pairs[index]))
        found = counted.expected
        assert found is None or counted.usable <= found.low <= found.likely <= found.high
        assert found is None or found.high <= 12 - (counted.finished - counted.usable)
    assert counted.expected == Expected(sum(pairs), sum(pairs), sum(pairs))


@given(st.integers(1, 500), st.integers(0, 500), st.integers(0, 10_000))
def test_the_estimate_keeps_within_what_is_possible(finished: int, usable_ones: int, rest: int) -> None:
    """Never fewer than there are, never more than there can be, the likely number between low and high."""
    usable_ones = min(usable_ones, finished)
    found = expected(usable_ones, finished, finished + rest)
    assert found is not None
    assert usable_ones <= found.low <= found.likely <= found.high <= usable_ones + rest


def test_nothing_is_expected_before_the_first_prompt() -> None:
    """And of the first alone next to nothing is known."""
    assert expected(0, 0, 200) is None
    first = expected(1, 1, 200)
    assert first is not None
    assert first.likely == 200
    assert first.low < 50


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
@pytest.mark.parametrize(("finished", "rest"), [(10, 10), (10, 500), (100, 20), (100, 2000)])
def test_95_of_100_runs_end_where_the_estimate_said(share: float, finished: int, rest: int) -> None:
    """Drawn 2,000 times: the number at the end lies within, also where few prompts are done or few are left."""
    rng = random.Random(5)
    hits = 0
    for _ in range(2000):
        usable_ones = sum(rng.random() < share for _ in range(finished))
        # The sum of the rest, as its normal limit where it is long.
        end = usable_ones + _drawn(rng, share, rest)
        found = expected(usable_ones, finished, finished + rest)
        assert found is not None
        hits += found.low <= end <= found.high
    assert hits / 2000 > 0.92


def _drawn(rng: random.Random, share: float, count: int) -> int:
    if count <= 100:
        return sum(rng.random() < share for _ in range(count))
    return round(rng.gauss(count * share, math.sqrt(count * share * (1 - share))))
