"""What is made of a sweep's records: figures, the recommendation, the flags."""

from __future__ import annotations

import pytest

from collector.parallelism.summary import Summary, summarise
from tests.parallelism.made_up import REPEATS, WINDOW, requests, summary, trial

ROOF = {1: 10.0, 2: 20.0, 4: 40.0, 8: 80.0, 16: 82.0, 32: 81.0}


def names(found: Summary) -> set[str]:
    return {flag.name for flag in found.flags}


def test_a_clean_sweep_recommends_the_knee_and_raises_no_flag() -> None:
    """Throughput that stops to grow at 8 in flight: 8, in every resample, by all three ways within a factor of two."""
    found = summary(ROOF, passes=3)
    assert found.recommendation is not None
    assert found.recommendation.level == 8
    assert found.recommendation.share == 1.0
    assert found.flags == ()
    assert found.segments is not None
    assert found.segments.knee == pytest.approx(8, rel=0.1)


def test_rates_count_what_ended_in_the_window() -> None:
    """80 a second for ten seconds, three times; the warm-up and the tail count for nothing."""
    level = next(one for one in summary(ROOF, passes=3).levels if one.level == 8)
    assert level.rollouts == 2400
    assert level.rollouts_per_s.value == pytest.approx(80)
    assert level.tokens_per_s is not None
    assert level.tokens_per_s.value == pytest.approx(80 * 12)
    assert level.p50 == pytest.approx(0.1)
    assert level.tail_rollouts == 3 * 40


def test_pairs_are_those_of_whole_prompts() -> None:
    """One pair for every two rollouts: 40 a second at 80 rollouts a second, 1e6 / 24 of a million tokens."""
    level = next(one for one in summary(ROOF).levels if one.level == 8)
    assert level.pairs_per_s is not None
    assert level.pairs_per_s.value == pytest.approx(40)
    assert level.pairs_per_million_tokens is not None
    assert level.pairs_per_million_tokens.value == pytest.approx(1e6 / 24, rel=0.01)


def test_a_level_that_was_not_held_is_grave_and_not_recommended() -> None:
    """Seven of eight in flight on average: the reason is told, and another level is taken."""
    found = summary(ROOF, changes={8: {"in_flight": 7.0, "client_cpu": 0.97}})
    assert [flag.text for flag in found.grave] == [
        "8 asked for, 7.0 in flight on average (8 at most): the client was busy"
    ]
    assert found.recommendation is not None
    assert found.recommendation.level == 16
    assert names(found) == {"in_flight", "client_bound"}


def test_half_a_slot_is_given_at_one_in_flight() -> None:
    """Between a reply and the next request the client works: that is no broken promise."""
    assert "in_flight" not in names(summary(ROOF, changes={1: {"in_flight": 0.8}}))
    assert "in_flight" in names(summary(ROOF, changes={1: {"in_flight": 0.4}}))


def test_the_highest_level_as_the_best_is_flagged() -> None:
    """Nothing says that more would not be faster."""
    found = summary({1: 10.0, 2: 20.0, 4: 40.0, 8: 80.0})
    assert names(found) == {"not_saturated"}
    assert "give --max-level 32" in found.flags[0].text


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"client_cpu": 0.9}, "client_bound"),
        ({"lag_p99": 0.05}, "client_bound"),
        ({"warm": False}, "no_steady_state"),
        ({"enough": False}, "no_steady_state"),
    ],
)
def test_what_a_trial_says_against_itself_is_flagged(changes: dict[str, object], name: str) -> None:
    """A busy client, a late event loop, a warm-up or window that was too short."""
    assert names(summary(ROOF, changes={16: changes})) == {name}


def test_failures_are_grave() -> None:
    """Rollouts that failed for good are counted by class, and end the command with code 3."""
    found = summary(ROOF, more={16: {"failure": "http_500"}})
    failed = next(flag for flag in found.grave if flag.name == "failures")
    assert failed.level == 16
    assert "http_500" in failed.text


def test_retries_are_told_when_they_are_many() -> None:
    """Attempts that another followed are no failures."""
    found = summary(ROOF, more={16: {"failure": "http_429", "final": False}})
    assert "retries" in names(found)


def test_rewards_that_fall_with_load_are_flagged() -> None:
    """The same prompts and seeds, and less reward at one level."""
    assert "reward_differs" in names(summary(ROOF, more={32: {"reward": 0.0}}))


def test_lengths_that_change_with_load_are_flagged() -> None:
    """Answers cut short under load look like speed."""
    assert "length_differs" in names(summary(ROOF, more={32: {"output_tokens": 3}}))


def test_passes_that_drift_are_flagged() -> None:
    """A last pass that is faster at every level says that something changed meanwhile."""
    trials = [
        trial(1 + place + 6 * part, level, part + 1, rollouts=int(rate * (1 + 0.2 * part) * WINDOW))
        for part in range(2)
        for place, (level, rate) in enumerate(ROOF.items())
    ]
    found = summarise(
        {},
        trials,
        lambda level: [one for each in trials if each.level == level for one in requests(each, each.rollouts / WINDOW)],
        lambda _: REPEATS,
        seed=0,
        paired=True,
    )
    assert "drift" in names(found)


def test_a_machine_that_others_use_is_told() -> None:
    """A load average above one and a half for each core."""
    assert names(summary(ROOF, changes={4: {"machine_load": 2.5}})) == {"busy_machine"}


def test_replies_without_token_counts_leave_token_figures_out() -> None:
    """Not measured is no zero."""
    level = summary(ROOF, more={8: {"output_tokens": None}}).levels[3]
    assert level.tokens_per_s is None
    assert level.pairs_per_million_tokens is None
    assert level.pairs_per_s is not None
