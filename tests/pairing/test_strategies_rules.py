"""Each strategy on groups made by hand, its picks worked out by the rule of its source."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from collector.errors import UsageError
from pairing.strategies import STRATEGIES, make_strategy
from pairing.strategies.auto import Auto
from tests.pairing.pools import picked, picks, pool_of, rows_of, sides

GRADED = (0.2, 0.9, 0.5, 0.9, 0.0, 0.5)
"""Best: 1 and 3. Worst: 4. In ranks: 1 3 | 2 5 | 0 | 4."""


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("best_worst", [(1, 4)]),
        ("best_worst:min_gap=0.91", "gap_below_min"),
        ("best_second", [(1, 5)]),  # of two second ones the higher index
        ("nbest_worst", [(1, 4), (3, 4)]),
        ("nbest_worst:n=9", [(1, 4), (3, 4), (2, 4), (5, 4), (0, 4)]),  # all that beat the worst
        ("adjacent", [(1, 5), (2, 0), (0, 4)]),  # each rank's first over the next rank's last
        ("all_above_gap", [(1, 4), (3, 4), (1, 0), (3, 0), (2, 4), (5, 4), (1, 5), (1, 2)]),  # 0.9 0.9 0.7 0.7 0.5 ...
        ("all_above_gap:cap=3", [(1, 4), (3, 4), (1, 0)]),
        ("all_above_gap:min_gap=0.6", [(1, 4), (3, 4), (1, 0), (3, 0)]),
        ("all_above_gap:min_gap=0.95", "gap_below_min"),
        ("correct_incorrect:threshold=0.9,k=99", {(1, 0), (1, 2), (1, 4), (1, 5), (3, 0), (3, 2), (3, 4), (3, 5)}),
        ("correct_incorrect:threshold=-1", "one_sided"),
        ("air", [(1, 5)]),  # 0.4 is the middle of 0.2 to 0.6, which 2 and 5 hit
        ("air:low=0.65,high=0.8", [(1, 0)]),
        ("air:low=0.91,high=2", "gap_below_min"),
        ("air:low=0.1,high=0.3", "gap_above_max"),
        ("air:min_chosen=0.95", "chosen_below_min"),
        ("rip:max_gap=0.9", [(1, 4)]),
        ("rip:max_gap=0.89", "gap_above_max"),
        ("rip:min_rejected_reward=0.1", "rejected_below_min"),
        ("rip:min_rejected_length=99", "rejected_too_short"),
        ("auto", [(1, 4)]),
    ],
)
def test_graded_rewards(spec: str, wanted: object) -> None:
    """Six answers with graded rewards and ties."""
    found = picks(make_strategy(spec), pool_of(GRADED))
    assert (set(found) if isinstance(wanted, set) else found) == wanted


def test_rs_dpo_s_threshold_is_the_paper_s() -> None:
    """A pair is kept when sigma((ri - rj) / tau) > eta, evaluated as it is written, and no other."""
    pool = pool_of(GRADED)
    found = picks(make_strategy("all_above_gap:tau=0.2,eta=0.9,min_gap=0,cap=99"), pool)
    by_hand = {
        (i, j)
        for i, one in enumerate(GRADED)
        for j, other in enumerate(GRADED)
        if one > other and 1 / (1 + math.exp(-(one - other) / 0.2)) > 0.9
    }
    assert set(found) == by_hand != set()


def test_mu_sigma_takes_the_nearest_to_two_deviations_under_the_mean() -> None:
    """Rewards 1 (fifteen times), 0.5 and -4: mean 0.6765, sigma 1.175, so that mean - 2 sigma is -1.67, and 0.5 is
    nearer than the outlier at -4; with k = 0 the nearest lower one is 0.5 as well, with k = 3.5 the outlier."""
    rewards = [1.0] * 15 + [0.5, -4.0]
    pool = pool_of(rewards)
    assert pool.mean == pytest.approx(0.67647, abs=1e-5)
    assert pool.std == pytest.approx(1.175, abs=1e-5)
    assert picks(make_strategy("mu_sigma"), pool) == [(0, 15)]
    assert picks(make_strategy("mu_sigma:k=0"), pool) == [(0, 15)]
    assert picks(make_strategy("mu_sigma:k=3.5"), pool) == [(0, 16)]


def test_meta_rewarding_prefers_short_good_and_long_bad_answers() -> None:
    """Rewards 1, 0.85 near the top and 0, 0.15 near the bottom (rho 0.2): the shortest against the longest; with rho
    0.1 only the ends are near, and with 0 ties alone are decided by length."""
    rewards, texts = [1.0, 0.85, 0.5, 0.15, 0.0, 0.0], ["a" * 90, "b" * 20, "c", "d" * 80, "e" * 10, "f" * 30]
    pool = pool_of(rewards, texts)
    assert picks(make_strategy("length_matched"), pool) == [(1, 3)]
    assert picks(make_strategy("length_matched:rho=0.1"), pool) == [(0, 5)]
    assert picks(make_strategy("length_matched:rho=0"), pool) == [(0, 5)]


def test_what_is_drawn_is_random_and_decided_by_seed_and_prompt() -> None:
    """Each of the others is drawn about equally often over seeds, the same one every time for one seed, and two draws
    are never the same answer."""
    pool = pool_of([1.0, 0.0, 0.1, 0.2, 0.3])
    drawn = Counter(str(picks(make_strategy("best_random", seed=seed), pool)) for seed in range(400))
    assert len(drawn) == 4
    assert min(drawn.values()) > 60
    assert picks(make_strategy("best_random:seed=5"), pool) == picks(make_strategy("best_random:seed=5"), pool)
    both = picks(make_strategy("best_random:n=4"), pool)
    assert sorted(both) == [(0, 1), (0, 2), (0, 3), (0, 4)]
    rpo = picks(make_strategy("correct_incorrect:k=3"), pool_of([1.0, 1.0, 0.0, 0.0]))
    assert len(set(rpo)) == 3


@pytest.mark.parametrize(
    ("rewards", "rule"),
    [
        ([1.0, 0.0, 1.0, 0.0], "correct_incorrect"),
        ([1.0, 0.0] * 20, "correct_incorrect"),
        ([1.0, 0.5, 0.0], "best_worst"),
        ([n / 10 for n in range(15)], "best_worst"),
        ([n / 10 for n in range(16)], "mu_sigma"),
    ],
)
def test_auto_names_the_rule_it_took(rewards: list[float], rule: str) -> None:
    """By the prompt's own rewards alone; one pair a prompt, whichever the rule, and the report knows why."""
    (choice,) = picked(Auto(), pool_of(rewards))
    assert choice.rule == rule
    assert rule in Auto.why


@pytest.mark.parametrize("spec", [*sorted(STRATEGIES.keys() - {"rip"}), "rip:max_gap=9"])
def test_a_truncated_answer_is_picked_as_rejected_alone(spec: str) -> None:
    """Whatever the rule: the best answer, cut short, is never chosen. Where all good ones are cut there is no pair."""
    pool = pool_of([1.0, 0.6, 0.3, 0.0], cut=[0, 3])
    found = picks(make_strategy(spec), pool)
    assert found
    assert not isinstance(found, str)
    assert {chosen for chosen, _ in found} <= {1, 2}
    assert isinstance(picks(make_strategy(spec), pool_of([1.0, 0.9, 0.0], cut=[0, 1])), str)


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ("best_wrst", "did you mean best_worst"),
        ("nothing", "or module:function"),
        ("best_random:n=0", "best_random:n=0: give 1 or more"),
        ("best_random:n=x", "n 'x' is no int"),
        ("best_random:k=1", "no parameter 'k'; it has n, seed"),
        ("nbest_worst:n=-1", "nbest_worst:n=-1: give 1 or more"),
        ("all_above_gap:eta=1", "eta=1.0: give a number from 0.5 to under 1"),
        ("all_above_gap:tau=0", "tau=0.0: give a number over 0"),
        ("all_above_gap:cap=0", "cap=0: give 1 or more"),
        ("correct_incorrect:threshold=nan", "threshold=nan: give a number"),
        ("correct_incorrect:k=0", "k=0: give 1 or more"),
        ("mu_sigma:k=inf", "k=inf: give a number"),
        ("length_matched:rho=0.5", "rho=0.5: give a number from 0 to under 0.5"),
        ("rip", "give min_rejected_reward, min_rejected_length or max_gap"),
        ("rip:max_gap=nan", "max_gap=nan: give a number"),
        ("air:low=-1", "low=-1.0: give 0 or more"),
        ("air:high=0.1", "high=0.1: give a number over 0.2"),
        ("air:min_chosen=nan", "min_chosen=nan"),
    ],
)
def test_a_wrong_parameter_is_one_clear_line(spec: str, wanted: str) -> None:
    """It names the strategy, the parameter, the value, and what is accepted."""
    with pytest.raises(UsageError, match="^--strategy ") as raised:
        make_strategy(spec)
    assert wanted in str(raised.value)


def test_sides_are_told_by_index() -> None:
    """The helper of these tests: rows keep their place as rollout index."""
    assert sides([]) == []
    assert [row["_ng_rollout_index"] for row in rows_of([0.0, 1.0])] == [0, 1]
