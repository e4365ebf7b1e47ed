"""Which levels a sweep measures."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import UsageError
from collector.parallelism.levels import log_spaced, parse_levels, refined


@given(st.integers(1, 60_000))
def test_levels_go_in_factors_of_two_and_end_at_the_highest(most: int) -> None:
    """From 1 to the highest, none more than twice the one before."""
    levels = log_spaced(most)
    assert levels[0] == 1 or most == 1
    assert levels[-1] == most
    assert all(low < high <= 2 * low for low, high in pairwise(levels))


@given(st.integers(2, 60_000), st.data())
def test_refined_levels_lie_between_the_knee_and_its_neighbours(most: int, data: st.DataObject) -> None:
    """At most one on either side, none that was measured, none beyond a neighbour."""
    levels = log_spaced(most)
    place = data.draw(st.integers(0, len(levels) - 1))
    further = refined(levels, levels[place])
    assert len(further) <= 2
    assert not set(further) & set(levels)
    low, high = levels[max(0, place - 1)], levels[min(len(levels) - 1, place + 1)]
    assert all(low < level < high for level in further)


def test_a_knee_at_32_is_looked_at_from_both_sides() -> None:
    """Half way by factor: 23 below, 45 above."""
    assert refined((1, 2, 4, 8, 16, 32, 64, 128), 32) == (23, 45)


def test_levels_of_the_command_line_are_sorted_and_each_counts_once() -> None:
    """The order of measuring is drawn anyway."""
    assert parse_levels("8,1,2,2") == (1, 2, 8)


@pytest.mark.parametrize(
    ("text", "told"),
    [("1,x", "whole numbers with commas"), ("0,1", "--levels 0: give numbers from 1"), ("1,70000", "--levels 70000")],
)
def test_levels_that_make_no_sense_are_one_line(text: str, told: str) -> None:
    """The flag, the value, what is accepted."""
    with pytest.raises(UsageError, match=told):
        parse_levels(text)
