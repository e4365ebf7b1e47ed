"""What holds for every strategy and any rewards."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairing.guards import Guards
from pairing.outcomes import pair_group
from pairing.settings import PairSettings
from pairing.strategies import STRATEGIES, Pool, make_strategy
from pairing.strategies.base import reward_of
from tests.pairing.pools import group_of, picked, picks, pool_of, rows_of, sides

SPECS = [*sorted(STRATEGIES.keys() - {"rip"}), "rip:max_gap=1e300", "best_random:n=3", "nbest_worst:n=5"]
FREE = ("best_worst", "best_random", "best_second", "nbest_worst", "adjacent", "mu_sigma", "length_matched")
"""Those whose rule knows no number on the scale of the rewards."""
BY_RANK = ("best_worst", "best_random", "best_second", "nbest_worst", "adjacent")

REWARDS = st.lists(
    st.one_of(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(-1e308, 1e308), st.floats(-2, 2)),
    min_size=2,
    max_size=20,
).filter(lambda rewards: len(set(rewards)) > 1)
EIGHTHS = st.lists(st.integers(-16, 16).map(lambda n: n / 8), min_size=2, max_size=18).filter(
    lambda rewards: len(set(rewards)) > 1
)


@pytest.mark.parametrize("spec", SPECS)
@given(data=st.data())
def test_a_pick_is_two_rollouts_and_the_chosen_one_is_better(spec: str, data: st.DataObject) -> None:
    """Never one rollout on both sides, never a tie, never a side that a guard bars, never the same pair twice."""
    rewards = data.draw(REWARDS)
    cut = data.draw(st.sets(st.integers(0, len(rewards) - 1), max_size=len(rewards) - 1))
    pool = pool_of(rewards, cut=cut)
    found = make_strategy(spec).pick(pool)
    if isinstance(found, str):
        return
    assert found
    for choice in found:
        assert choice.chosen is not choice.rejected
        assert reward_of(choice.chosen) > reward_of(choice.rejected)
        assert choice.chosen in pool.chosen
        assert choice.rejected in pool.rejected
    assert len(set(sides(found))) == len(found)


@pytest.mark.parametrize("spec", SPECS)
@given(data=st.data())
def test_the_order_of_the_rollouts_changes_nothing(spec: str, data: st.DataObject) -> None:
    """Rows of one prompt in any order give the same pairs, in the same order, for the same reason."""
    rows = rows_of(data.draw(REWARDS))
    policy = PairSettings(strategy=spec, format="recipe").policy()

    def outcome(of: list[dict[str, Any]]) -> Any:
        made = pair_group(group_of(of), policy)
        return [kept.record for kept in made.kept], made.reason, [reason for _, reason in made.refused]

    assert outcome(data.draw(st.permutations(rows))) == outcome(rows)


@pytest.mark.parametrize("name", FREE)
@given(rewards=EIGHTHS, power=st.integers(-20, 20))
def test_the_scale_of_the_rewards_changes_nothing(name: str, rewards: list[float], power: int) -> None:
    """Rewards times a power of two (which floats hold exactly) give the same pairs."""
    strategy = make_strategy(name, min_gap=0.0)
    scaled = [reward * 2.0**power for reward in rewards]
    assert picks(strategy, pool_of(scaled)) == picks(strategy, pool_of(rewards))


@pytest.mark.parametrize("name", BY_RANK)
@given(rewards=EIGHTHS, shift=st.integers(-1000, 1000))
def test_a_shift_of_the_rewards_changes_nothing(name: str, rewards: list[float], shift: int) -> None:
    """Rules that know ranks alone do not see a constant added to all rewards."""
    strategy = make_strategy(name, min_gap=0.0)
    shifted = [reward + shift for reward in rewards]
    assert picks(strategy, pool_of(shifted)) == picks(strategy, pool_of(rewards))


@given(rewards=REWARDS)
def test_best_worst_is_the_first_of_what_others_see(rewards: list[float]) -> None:
    """The rules agree where they must: nbest_worst's first pair is best_worst's, and so is the widest of all pairs."""
    pool = pool_of(rewards)
    best = picks(make_strategy("best_worst:min_gap=0"), pool)
    if best == "gap_not_finite":
        return
    assert picks(make_strategy("nbest_worst:n=1"), pool) == best
    (widest,) = picked(make_strategy("all_above_gap:cap=1,min_gap=0"), pool)
    (choice,) = picked(make_strategy("best_worst:min_gap=0"), pool)
    assert widest.gap == choice.gap


@given(rewards=REWARDS)
def test_spreads_never_fail(rewards: list[float]) -> None:
    """Mean and deviation of any finite rewards: a number, or infinite, never an error."""
    pool = pool_of(rewards)
    assert min(rewards) <= pool.mean <= max(rewards) or pool.mean == pytest.approx(min(rewards))
    assert pool.std >= 0


def test_a_pool_without_a_shared_side() -> None:
    """With truncated answers alone to reject, no rollout stands on both sides."""
    group = group_of(rows_of([1.0, 0.9, 0.5, 0.1], cut=[1, 3]))
    pool = Guards(truncated_rejected="only").checks().pool(group.rollouts, group.prompt_id)
    assert isinstance(pool, Pool)
    assert picks(make_strategy("best_second"), pool) == [(0, 1)]
    assert picks(make_strategy("best_worst"), pool) == [(0, 3)]
    assert len(pool.usable) == 4
