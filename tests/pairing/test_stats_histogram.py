"""Histograms: counts add up, order changes nothing, edges are round, and bars fit the terminal."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairing.stats.bars import draws_blocks, render_bars
from pairing.stats.histogram import Bar, Histogram

ANY = st.floats(allow_nan=False, allow_infinity=False)


def histogram(values: list[float]) -> Histogram:
    found = Histogram()
    for value in values:
        found.add(value)
    return found


def test_few_values_have_a_bar_each() -> None:
    """Rewards of a verifier with three grades are shown as they are; -0.0 is 0."""
    found = histogram([1.0, 0.0, 1.0, -0.0, 0.5])
    assert found.bars() == [Bar(0, 0, 2), Bar(0.5, 0.5, 1), Bar(1, 1, 2)]


def test_many_values_have_round_edges() -> None:
    """0.00, 0.01 ... 1.00: ten bars of ten, and those at the very top apart, as they are the successes."""
    bars = histogram([n / 100 for n in range(101)]).bars()
    assert [bar.low for bar in bars] == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
    assert [bar.count for bar in bars] == [10] * 10 + [1]
    assert bars[-1] == Bar(1, 1, 1)


def test_a_value_on_an_edge_stands_over_it() -> None:
    """3 * 0.1 is 0.30000000000000004: the reward 0.3 belongs to the bar that starts at 0.3 all the same."""
    bars = histogram([n / 20 for n in range(21)]).bars()
    assert all(bar.count == 2 for bar in bars[:-1])


def test_values_that_are_no_number_are_passed_over() -> None:
    """NaN and infinity have no place on an axis."""
    found = histogram([math.nan, math.inf, -math.inf, 2.0])
    assert (found.count, found.bars()) == (1, [Bar(2, 2, 1)])


@pytest.mark.parametrize(("share", "wanted"), [(0, 1), (0.25, 2), (0.5, 3), (0.75, 4), (1, 5)])
def test_quantiles_are_values_of_the_data(share: float, wanted: float) -> None:
    """Of 1 to 5 the median is 3, the quartiles 2 and 4."""
    assert histogram([5, 3, 1, 2, 4]).quantile(share) == wanted
    assert Histogram().quantile(share) is None


@settings(max_examples=60)
@given(st.lists(ANY, min_size=1, max_size=60))
def test_counts_add_up(values: list[float]) -> None:
    """Whatever the values are, each stands in one bar, and bars ascend."""
    bars = histogram(values).bars()
    assert sum(bar.count for bar in bars) == len(values)
    assert all(one.high <= other.low or math.isclose(one.high, other.low) for one, other in pairwise(bars))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([1.0, 1e-300, 1e300, 37.5]), st.booleans())
def test_order_changes_nothing_in_cells_either(seed: int, scale: float, far: bool) -> None:
    """Past 4,096 different values cells are used: the same ones whatever came first, narrow, and not many."""
    values = [math.sin(n) * scale for n in range(6000)] + ([scale * 1e3, -1e-310] if far else [])
    shuffled = values.copy()
    random.Random(seed).shuffle(shuffled)
    one, other = histogram(values), histogram(shuffled)
    assert list(one.items()) == list(other.items())
    assert one.bars() == other.bars()
    assert sum(bar.count for bar in one.bars()) == len(values)
    assert len(list(one.items())) <= 4096
    middle = one.quantile(0.5)
    assert middle is not None
    assert abs(middle - sorted(values)[len(values) // 2]) <= (max(values) - min(values)) / 1000


def test_what_is_too_small_for_its_cell_keeps_its_side() -> None:
    """Thousands of values just under 0 and one of 1e300: under 0 they stay, whichever came first."""
    values = [-(n + 1) * 1e-310 for n in range(5000)] + [1e300]
    one, other = histogram(values), histogram(values[::-1])
    assert list(one.items()) == list(other.items())
    assert one.quantile(0.5) is not None
    assert [count for value, count in one.items() if value < 0] == [5000]


def test_bars_grow_with_their_counts_and_fit() -> None:
    """In 60 columns: the longest bar fills its room, half of it is half as long, nothing is no bar, little is one."""
    bars = [Bar(0, 1, 1000), Bar(1, 2, 500), Bar(2, 3, 0), Bar(3, 4, 1)]
    lines = list(render_bars(bars, 60, blocks=True))
    drawn = [line.count("█") for line in lines]
    assert max(map(len, lines)) <= 60
    assert drawn[0] - 2 * drawn[1] in (0, 1)
    assert (drawn[2], "▏" in lines[3]) == (0, True)
    assert lines[0].endswith("1,000  66.6%")


def test_ascii_bars_where_the_encoding_has_no_blocks() -> None:
    """A terminal in Latin-1 gets '#'."""
    lines = list(render_bars([Bar(0, 0, 3), Bar(1, 1, 1)], 80, blocks=draws_blocks("latin-1")))
    assert all(line.isascii() for line in lines)
    assert abs(lines[0].count("#") - 3 * lines[1].count("#")) <= 1


@pytest.mark.parametrize(
    ("encoding", "wanted"), [("utf-8", True), ("cp437", False), ("ascii", False), (None, False), ("no-such", False)]
)
def test_who_can_draw_blocks(encoding: str | None, wanted: bool) -> None:
    """Blocks are drawn where the encoding has all of them; an unknown encoding has none."""
    assert draws_blocks(encoding) is wanted


def test_labels_tell_edges_apart() -> None:
    """Rewards that differ late are not all called 1."""
    lines = list(render_bars([Bar(1.00001, 1.00001, 1), Bar(1.00002, 1.00002, 1)], 80, blocks=False))
    assert [line.split()[0] for line in lines] == ["1.00001", "1.00002"]
