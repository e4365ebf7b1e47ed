"""The exact odds of smaller groups are the mean over all of them, by the collector's own rule and by the strategy's."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.usable import RewardRange, usable
from pairing.planning.chances import GAP, PAIRED, Rule, subset_odds
from pairing.planning.samples import Member
from tests.planning.make import prompt

REWARDS = st.sampled_from([0.0, 0.1, 0.2, 0.35, 0.5, 1.0])
MEMBERS = st.lists(st.none() | st.builds(Member, REWARDS, st.booleans(), st.booleans()), min_size=1, max_size=7)


def best_and_worst(members: tuple[Member | None, ...]) -> float:
    """The gap of best and worst, 0 without a pair: each over those that may stand on its side."""
    chosen = [member.reward for member in members if member is not None and member.choose]
    rejected = [member.reward for member in members if member is not None and member.reject]
    return max(chosen) - min(rejected) if chosen and rejected else 0.0


@given(MEMBERS, st.sampled_from([0.0, 0.15, 0.3]), st.sampled_from([0.6, math.inf]))
def test_odds_are_the_mean_over_all_subsets(members: list[Member | None], gap: float, most: float) -> None:
    """Chance and gap, for every size, with rollouts barred from either side and unusable ones among them."""
    odds = subset_odds(prompt(members), len(members), Rule((gap,), most))
    for size in range(1, len(members) + 1):
        found = [best_and_worst(group) for group in combinations(members, size)]
        pairs = [each for each in found if each > 0 and gap <= each <= most]
        assert odds[size, 0, PAIRED] == pytest.approx(len(pairs) / len(found), abs=1e-9)
        assert odds[size, 0, GAP] == pytest.approx(sum(pairs) / len(found), abs=1e-9)


@given(st.lists(REWARDS, min_size=2, max_size=6), st.sampled_from([0.0, 0.15, 0.3]))
def test_the_early_stop_has_the_same_rule(rewards: list[float], gap: float) -> None:
    """The mean of the collector's own `usable` over all subsets, so that expected stops are the collector's."""
    odds = subset_odds(prompt(rewards), len(rewards), Rule((gap,)))
    for size in range(2, len(rewards) + 1):
        found = []
        for group in combinations(rewards, size):
            seen = RewardRange()
            for reward in group:
                seen.add(reward)
            found.append(usable(seen, gap))
        assert odds[size, 0, PAIRED] == pytest.approx(np.mean(found), abs=1e-9)


def test_more_than_there_are_is_not_known() -> None:
    """NaN past the prompt's rollouts: only the model may tell of those."""
    odds = subset_odds(prompt([0.0, 1.0]), 4, Rule((0.15,)))
    assert odds[2, 0, PAIRED] == 1
    assert np.isnan(odds[3:]).all()


def test_gaps_are_compared_in_plain_floats() -> None:
    """0.35 - 0.2 is a little less than 0.15, and no pair, as in the pairing stage; an endless gap is none either."""
    assert subset_odds(prompt([0.35, 0.2]), 2, Rule((0.15,)))[2, 0, PAIRED] == 0
    assert subset_odds(prompt([1.7e308, -1.7e308]), 2, Rule((0.15,)))[2, 0, PAIRED] == 0
