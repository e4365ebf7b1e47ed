"""Rows of a plan: tokens, intervals, early stop, resampled groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from pairing.planning.asked import Asked
from pairing.planning.chances import Rule
from pairing.planning.figures import plan_by_resampling, plan_by_rewards
from pairing.planning.resample import Resampler
from pairing.planning.samples import read_pilot
from pairing.reading.groups import iter_groups
from pairing.settings import PairSettings
from tests.pairing.make import our_row, write_rows
from tests.planning.make import prompt, solved


def test_tokens_are_for_a_pair() -> None:
    """Two prompts of 10 tokens a rollout, one of which pairs: 2 repeats take 40 tokens for one pair."""
    (row,) = plan_by_rewards([prompt([0.0, 1.0], 0), prompt([1.0, 1.0], 1)], (2,), Rule((0.15,))).rows
    assert (row.paired.value, row.tokens.value, row.input_tokens) == (0.5, 40.0, 40.0)


def test_stopping_early_is_a_sum_over_what_does_not_pair_yet() -> None:
    """Of 0, 0, 1 in random order the first two pair in two of three orders: 2 and 1/3 rollouts on average."""
    plan = plan_by_rewards([prompt([0.0, 0.0, 1.0])], (2, 3), Rule((0.15,)))
    two, three = plan.stops
    assert two.samples.value == pytest.approx(2)
    assert three.samples.value == pytest.approx(7 / 3)
    assert three.tokens.value == pytest.approx(70 / 3)
    assert three.fixed_tokens == pytest.approx(30)


def test_a_largest_gap_has_no_early_stop() -> None:
    """The collector's stop knows none, so nothing is said of it."""
    assert not plan_by_rewards([prompt([0.0, 1.0])], (2,), Rule((0.15,), 0.8)).stops


def test_intervals_shrink_with_prompts() -> None:
    """A tenth of the width for a hundred times the prompts, or nearly; the same seed gives the same interval."""
    shares = [0.1, 0.5, 0.9]
    few, many = (plan_by_rewards(solved(shares * times, 4), (2,), Rule((0.15,))).rows[0] for times in (10, 1000))
    width = [each.paired.high - each.paired.low for each in (few, many)]
    assert width[1] < width[0] / 5
    assert plan_by_rewards(solved(shares * 10, 4), (2,), Rule((0.15,))).rows[0] == few


def test_resampling_through_the_pairing_stage_agrees_with_the_exact_odds(tmp_path: Path) -> None:
    """best_worst has both: of 4 rollouts all subsets are drawn, and the odds are equal."""
    rewards = [(0.0, 0.1, 0.5, 1.0), (1.0, 1.0, 0.9, 1.0), (0.3, 0.3, 0.3, 0.3), (0.0, 0.2, 0.2, 0.6)]
    rows = [our_row(task, at, reward) for task, group in enumerate(rewards) for at, reward in enumerate(group)]
    rows[3]["finish_reason"] = "length"  # never chosen
    path = write_rows(tmp_path / "rollouts.jsonl", *rows)
    policies = [PairSettings(min_gap=gap).policy() for gap in (0.15, 0.3)]
    exact = read_pilot(iter_groups(path), policies[0], None)
    drawn = read_pilot(iter_groups(path), policies[0], Resampler(policies, (2, 3, 4)))
    assert exact.otherwise == 0
    by_rewards = plan_by_rewards(exact.prompts, (2, 3, 4), Rule((0.15, 0.3))).rows
    resampled = plan_by_resampling(drawn.prompts, (2, 3, 4), (0.15, 0.3)).rows
    for one, other in zip(by_rewards, resampled, strict=True):
        assert (one.repeats, one.gap) == (other.repeats, other.gap)
        assert one.paired.value == pytest.approx(other.paired.value)
        assert one.mean_gap.value == pytest.approx(other.mean_gap.value)


def test_a_sample_stands_for_many_prompts(tmp_path: Path) -> None:
    """Memory is bounded: past `most` prompts a random sample is kept, all are counted, and the seed decides which."""
    rows = [our_row(task, at, float(at)) for task in range(40) for at in range(2)]
    path = write_rows(tmp_path / "rollouts.jsonl", *rows)
    policy = PairSettings().policy()
    kept = [read_pilot(iter_groups(path), policy, None, seed=seed, most=10) for seed in (0, 0, 1)]
    assert [(pilot.seen, len(pilot.prompts)) for pilot in kept] == [(40, 10)] * 3
    assert kept[0].prompts == kept[1].prompts != kept[2].prompts


def test_which_rules_need_more_than_rewards() -> None:
    """best_worst with guards on single rollouts does not; other strategies, other gaps, and guards on texts do."""
    assert Asked((PairSettings(),), (0.15,)).rule == Rule((0.15,))
    assert Asked((PairSettings(strategy="auto"),), (0.15,)).rule is None
    assert Asked((PairSettings(gap_kind="rank"),), (1.0,)).rule is None
