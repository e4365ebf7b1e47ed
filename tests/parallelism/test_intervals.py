"""How sure a figure is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parallelism.intervals import percentile, ratio, resampled_rates, spread_of


def test_a_percentile_is_one_of_the_values_or_none() -> None:
    """Nearest rank; p99 of fewer than a hundred values would be their maximum, so there is none."""
    values = list(range(1, 101))
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.9) == 90
    assert percentile(values, 0.99) == 99
    assert percentile(values[:99], 0.99) is None
    assert percentile(values[:10], 0.9) == 9
    assert percentile([], 0.5) is None


@given(st.lists(st.floats(0, 1e6), min_size=100, max_size=200))
def test_percentiles_ascend(values: list[float]) -> None:
    """p50 <= p90 <= p99 <= the largest."""
    p50, p90, p99 = (percentile(values, share) for share in (0.5, 0.9, 0.99))
    assert p50 is not None
    assert p90 is not None
    assert p99 is not None
    assert p50 <= p90 <= p99 <= max(values)


def test_equal_blocks_leave_no_doubt() -> None:
    """Ten rollouts in each half second: twenty a second in every resample."""
    rates = resampled_rates([np.full(10, 10.0)] * 3, [0.5] * 3, np.random.default_rng(0))
    assert set(rates) == {20.0}


def test_trials_that_differ_widen_the_interval() -> None:
    """Whole trials are drawn again: blocks that are steady within a trial hide nothing."""
    steady = resampled_rates([np.full(10, 10.0)] * 3, [1.0] * 3, np.random.default_rng(0))
    unlike = resampled_rates([np.full(10, value) for value in (8.0, 10.0, 12.0)], [1.0] * 3, np.random.default_rng(0))
    assert spread_of(10, steady).high == 10
    interval = spread_of(10, unlike)
    assert interval.low < 9
    assert interval.high > 11


def test_the_same_seed_gives_the_same_interval() -> None:
    """A report that is made again from the same records says the same."""
    blocks = [np.array([3.0, 9.0, 5.0, 7.0])]
    one, other = (resampled_rates(blocks, [1.0], np.random.default_rng(5)) for _ in range(2))
    assert (one == other).all()


def test_a_ratio_covers_the_truth_about_as_often_as_it_says() -> None:
    """95% intervals of pairs per rollout over 200 made-up sweeps hold the true share in 90% to 99% of them."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(200):
        found = ratio(rng.binomial(1, 0.6, 80).tolist(), [4.0] * 80)
        assert found is not None
        held += found.interval.low <= 0.15 <= found.interval.high
    assert 0.9 <= held / 200 <= 0.99


def test_a_ratio_of_nothing_is_none() -> None:
    """No prompt, one prompt alone, and nothing below the line say nothing."""
    assert ratio([], []) is None
    assert ratio([1.0], [4.0]) is None
    assert ratio([0.0, 0.0], [0.0, 0.0]) is None
    half = ratio([1, 1], [2, 2])
    assert half is not None
    assert half.value == pytest.approx(0.5)
