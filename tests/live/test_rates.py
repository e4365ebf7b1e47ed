"""The pace of a run: of the last while, longer where little comes."""

from __future__ import annotations

import pytest

from collector.live.rates import Counts, Recent


def fed(steps: list[tuple[float, int]]) -> Recent:
    recent = Recent(0.0)
    for now, rollouts in steps:
        recent.add(now, Counts(rollouts, rollouts, 10 * rollouts))
    return recent


def test_a_slow_start_is_soon_forgotten() -> None:
    """1 rollout a second for a minute, then 10: half a minute later the pace is 10, the whole run's is not."""
    steps = [(t * 0.2, int(t * 0.2)) for t in range(301)]
    steps += [(60 + t * 0.2, 60 + 2 * t) for t in range(1, 160)]
    recent = fed(steps)
    now, last = steps[-1]
    pace = recent.pace(now, Counts(last, last, 10 * last))
    assert pace.rollouts == pytest.approx(10, rel=0.05)
    assert pace.tokens == pytest.approx(100, rel=0.05)
    assert recent.overall(now, Counts(last, last, 0)).rollouts == pytest.approx(last / now)


def test_few_rollouts_make_a_longer_window() -> None:
    """One in 20 seconds: half a minute would hold one or two, the window holds 20."""
    recent = fed([(20.0 * i, i) for i in range(1, 101)])
    assert recent.pace(2000.0, Counts(100, 100)).rollouts == pytest.approx(1 / 20)
    assert len(recent._samples) < 60


def test_a_silence_slows_the_pace() -> None:
    """What has not come for a while is not extrapolated."""
    recent = fed([(float(i), 10 * i) for i in range(1, 31)])
    assert recent.pace(30.0, Counts(300, 300)).rollouts == pytest.approx(10)
    assert recent.pace(300.0, Counts(300, 300)).rollouts <= 1


def test_failures_count_for_the_time_left_and_not_for_the_rate() -> None:
    """A rollout that fails comes to its end, and is none on disk."""
    pace = Recent(0.0).pace(10.0, Counts(rollouts=50, settled=100))
    assert (pace.rollouts, pace.settled) == (5, 10)


def test_there_is_no_pace_before_any_time_has_passed() -> None:
    """No division by zero at the first drawing."""
    assert Recent(5.0).pace(5.0, Counts()).rollouts == 0
