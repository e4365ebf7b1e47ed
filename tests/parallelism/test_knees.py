"""The three knees on curves whose knee is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.parallelism.knees import disagreement, fit_scalability, fit_segments, plateau

LEVELS = (1, 2, 4, 8, 16, 32, 64, 128)


def law(rate: float, contention: float, coherence: float, level: int) -> float:
    return rate * level / (1 + contention * (level - 1) + coherence * level * (level - 1))


def test_the_plateau_is_the_smallest_level_near_the_maximum() -> None:
    """At least 95% of the highest throughput, wherever that is."""
    assert plateau(LEVELS, (1, 2, 4, 8, 15.3, 16, 16, 15)) == 16
    assert plateau(LEVELS, (1, 2, 4, 8, 15.1, 16, 16, 15)) == 32
    assert plateau((4,), (7.0,)) == 4
    assert plateau(LEVELS, [0.0] * 8) is None


def test_two_segments_find_the_corner_of_a_roof() -> None:
    """Throughput that grows with N up to 20 in flight, and not at all beyond."""
    fit = fit_segments(LEVELS, [10.0 * min(level, 20) for level in LEVELS])
    assert fit is not None
    assert fit.knee == pytest.approx(20, rel=0.05)
    assert fit.slope_before == pytest.approx(1, abs=0.02)
    assert fit.slope_after == pytest.approx(0, abs=0.02)


def test_a_straight_line_has_no_two_segments() -> None:
    """Throughput that still grows as it did at first has no knee in the range; nor has one of three levels."""
    assert fit_segments(LEVELS, [10.0 * level for level in LEVELS]) is None
    assert fit_segments(LEVELS[:3], (1.0, 2.0, 2.0)) is None


@given(st.floats(0.1, 1e4), st.floats(0.0, 0.3), st.floats(0.0, 0.01))
def test_the_scalability_law_is_found_again(rate: float, contention: float, coherence: float) -> None:
    """A curve made by the law gives its coefficients back."""
    fit = fit_scalability(LEVELS, [law(rate, contention, coherence, level) for level in LEVELS])
    assert fit is not None
    assert fit.rate == pytest.approx(rate, rel=1e-4)
    assert fit.contention == pytest.approx(contention, abs=1e-4)
    assert fit.coherence == pytest.approx(coherence, abs=1e-5)


@given(st.lists(st.floats(0.01, 1e6), min_size=8, max_size=8))
def test_no_curve_breaks_a_fit(throughput: list[float]) -> None:
    """Whatever was measured, coefficients are not negative and the knees lie in the range."""
    fit = fit_scalability(LEVELS, throughput)
    if fit is not None:
        assert fit.contention >= 0
        assert fit.coherence >= 0
        assert 1 <= fit.knee <= 128
    segments = fit_segments(LEVELS, throughput)
    assert segments is None or 1 <= segments.knee <= 128


def test_the_laws_peak_is_where_its_curve_is_highest() -> None:
    """sqrt((1 - contention) / coherence); none when nothing makes it fall."""
    fit = fit_scalability(LEVELS, [law(10, 0.05, 0.001, level) for level in LEVELS])
    assert fit is not None
    assert fit.peak == pytest.approx((0.95 / 0.001) ** 0.5, rel=1e-3)
    rising = fit_scalability(LEVELS, [10.0 * level for level in LEVELS])
    assert rising is not None
    assert rising.peak is None or rising.peak > 1e4


def test_knees_that_lie_far_apart_are_told() -> None:
    """A factor of two or less is agreement; a missing one is told."""
    roof = fit_segments(LEVELS, [10.0 * min(level, 20) for level in LEVELS])
    flat = fit_scalability(LEVELS, [law(10, 0.05, 0, level) for level in LEVELS])
    assert roof is not None
    assert flat is not None
    assert (
        disagreement(32, roof, None) == "no knee by the scalability law (32 by 95% of the maximum, 20 by two segments)"
    )
    assert "disagree: 4 by 95% of the maximum, 20 by two segments" in str(disagreement(4, roof, flat))
    assert disagreement(16, roof, None) is not None
    assert disagreement(flat.knee, None, flat) is not None
