"""Guards that are off by default, and those of the sides: each keeps out what it names, under its own reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from collector.errors import UsageError
from pairing.guards import Guards
from pairing.guards.texts import TokenBudget
from pairing.outcomes import Outcome, pair_group
from pairing.reading.groups import Group
from pairing.settings import PairSettings
from pairing.strategies.base import Choice, Pool
from tests.pairing.make import our_row
from tests.pairing.pools import group_of, rollout_of, rows_of


def outcome_of(group: Group, strategy: str = "best_worst", gap: str = "absolute", **guards: Any) -> Outcome:
    kind: Any = gap
    settings = PairSettings(strategy=strategy, guards=Guards(**guards), gap_kind=kind, min_gap=guards.pop("min_gap", 0))
    return pair_group(group, settings.policy())


def indices(outcome: Outcome) -> list[tuple[int | None, int | None]]:
    return [(kept.pair.chosen.rollout_index, kept.pair.rejected.rollout_index) for kept in outcome.kept]


def refusals(outcome: Outcome) -> list[str]:
    return [reason for _, reason in outcome.refused]


def group(rewards: Sequence[float], texts: Sequence[str] = (), cut: Sequence[int] = ()) -> Group:
    return group_of(rows_of(rewards, texts, cut))


def test_the_chosen_side_may_be_asked_for_more() -> None:
    """`min_chosen_reward` bars the chosen side alone; a prompt without such an answer has no pair."""
    assert indices(outcome_of(group([0.6, 0.4, 0.0]), "adjacent", min_chosen_reward=0.5)) == [(0, 1)]
    assert outcome_of(group([0.4, 0.0]), min_chosen_reward=0.5).reason == "chosen_below_min"


def test_the_rejected_side_may_be_asked_for_less() -> None:
    """`max_rejected_reward` bars the rejected side alone."""
    assert indices(outcome_of(group([0.9, 0.6, 0.2]), "adjacent", max_rejected_reward=0.3)) == [(1, 2)]
    assert outcome_of(group([0.9, 0.6]), max_rejected_reward=0.3).reason == "rejected_above_max"


@pytest.mark.parametrize(("how", "wanted"), [("allow", [(1, 3)]), ("drop", [(1, 2)]), ("only", [(1, 3)])])
def test_truncated_answers_as_rejected(how: str, wanted: list[tuple[int, int]]) -> None:
    """Allowed, dropped, or the only ones; never chosen in any case."""
    answers = group([1.0, 0.8, 0.4, 0.2], cut=[0, 3])
    outcome = outcome_of(answers, truncated_rejected=how)
    assert indices(outcome) == wanted
    assert [reason for _, reason in outcome.faults] == (["truncated"] * 2 if how == "drop" else [])


def test_truncated_answers_alone_or_not_at_all() -> None:
    """Without one to reject `only` gives no pair; where they may be chosen, `drop` speaks of the rejected side."""
    assert outcome_of(group([1.0, 0.0]), truncated_rejected="only").reason == "no_rejected"
    both: dict[str, Any] = {"truncated_rejected": "drop", "truncated_chosen": False}
    assert indices(outcome_of(group([1.0, 0.5, 0.0], cut=[0, 2]), **both)) == [(0, 1)]
    assert outcome_of(group([1.0, 0.0], cut=[0, 1]), **both).reason == "no_rejected"


@pytest.mark.parametrize(
    ("kind", "least", "most", "reason"),
    [
        ("absolute", 0.8, None, None),
        ("absolute", 0.81, None, "gap_below_min"),
        ("absolute", 0, 0.79, "gap_above_max"),
        ("zscore", 2.5, None, None),  # 0.8 in deviations of 0.3162
        ("zscore", 2.54, None, "gap_below_min"),
        ("zscore", 0, 2.5, "gap_above_max"),
        ("rank", 3, None, None),  # two of 0.5 share a rank: 0, 1, 1, 3
        ("rank", 4, None, "gap_below_min"),
        ("rank", 0, 2, "gap_above_max"),
    ],
)
def test_gaps_in_three_measures(kind: str, least: float, most: float | None, reason: str | None) -> None:
    """Best against worst is 0.8, or 2.53 deviations, or 3 ranks; the bounds themselves are inside."""
    rewards = [0.9, 0.5, 0.5, 0.1]
    if kind == "zscore":
        rewards = [0.9, 0.7, 0.1, 0.3]  # mean 0.5, deviation 0.3162
    outcome = outcome_of(group(rewards), gap=kind, min_gap=least, max_gap=most)
    assert outcome.reason == reason


def test_a_gap_of_other_measure_holds_for_a_strategy_that_knows_its_own() -> None:
    """best_worst's own minimum is absolute: it steps back for a z-score."""
    assert outcome_of(group([0.02, 0.0]), gap="zscore", min_gap=1.5).reason is None
    assert PairSettings(gap_kind="rank", min_gap=1).policy().strategy.min_gap == 0  # type: ignore[attr-defined]


def test_lengths_may_not_lie_too_far_apart() -> None:
    """Chosen over rejected, in characters, bounds included; an answer of calls alone has a length too."""
    answers = group([1.0, 0.0], ["a" * 30, "b" * 10])
    assert outcome_of(answers, max_length_ratio=3.0).reason is None
    assert outcome_of(answers, max_length_ratio=2.9).reason == "length_ratio"
    assert outcome_of(answers, min_length_ratio=3.1).reason == "length_ratio"
    assert outcome_of(answers, min_length_ratio=0.5, max_length_ratio=4).reason is None


def test_near_duplicates_are_refused_when_asked() -> None:
    """One letter of twenty: alike to 0.95, and no more than that."""
    answers = group([1.0, 0.0], ["the answer is: 12345", "the answer is: 12346"])
    assert outcome_of(answers).reason is None
    assert outcome_of(answers, max_similarity=0.9).reason == "near_identical"
    assert outcome_of(answers, max_similarity=0.95).reason is None


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """A tokenizer of one token a word."""
    vocabulary = {word: number for number, word in enumerate(["[UNK]", "a", "b", "Question", "0", "?"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def test_the_sides_must_differ_within_the_budget(words: Path) -> None:
    """The prompt (3 tokens) and what the sides share (4) make 7: the eighth is the first that differs. By bytes: 12 of
    the prompt and its newline, 8 in common, 20 in all are 5 tokens of 4."""
    answers = group([1.0, 0.0], ["a b a b a", "a b a b b"])
    assert outcome_of(answers, token_budget=8, tokenizer=words).reason is None
    assert outcome_of(answers, token_budget=7, tokenizer=words).reason == "beyond_budget"
    assert outcome_of(answers, token_budget=6).reason is None
    assert outcome_of(answers, token_budget=5).reason == "beyond_budget"


@given(shared=st.text("ab", max_size=40), one=st.text("cx", min_size=1), other=st.text("dy", min_size=1))
def test_the_budget_sees_the_first_difference(shared: str, one: str, other: str) -> None:
    """Wherever it stands: a budget that ends just before it refuses the pair, one past it keeps it."""
    chosen, rejected = (rollout_of(our_row(0, n, 1.0 - n, shared + own)) for n, own in enumerate((one, other)))
    choice, pool = Choice(chosen, rejected), Pool((chosen,), (rejected,))
    before = len(f"Question 0?\n{shared}") // 4
    assert before == 0 or TokenBudget(before).fault(choice, pool, ()) == "beyond_budget"
    assert TokenBudget(before + 1).fault(choice, pool, ()) is None


def test_caps_count_what_is_kept() -> None:
    """Of a prompt and of a response, on either side, in the strategy's order; a refused pair takes no room."""
    answers = group([1.0, 0.75, 0.5, 0.0])
    assert indices(outcome_of(answers, "all_above_gap:cap=99", max_pairs=2)) == [(0, 3), (1, 3)]
    once = outcome_of(answers, "all_above_gap:cap=99", max_pairs_per_response=1)
    assert indices(once) == [(0, 3), (1, 2)]
    assert set(refusals(once)) == {"over_response_cap"}
    same = group([1.0, 0.9, 0.0], ["same", "other", "same"])
    assert indices(outcome_of(same, "nbest_worst", max_pairs=1)) == [(1, 2)]
    assert refusals(outcome_of(same, "nbest_worst", max_pairs=1)) == ["identical_text"]


def test_a_pair_that_says_what_another_says_is_refused() -> None:
    """Two rollouts of one text give one pair; --no-guards and the guard's own switch keep both."""
    answers = group([1.0, 1.0, 0.0], ["good", "good ", "bad"])
    outcome = outcome_of(answers, "nbest_worst")
    assert (indices(outcome), refusals(outcome)) == ([(0, 2)], ["repeated_pair"])
    assert len(outcome_of(answers, "nbest_worst", repeated_pair=False).kept) == 2
    assert Guards.none().repeated_pair is False


WRONG: list[tuple[Callable[[], Any], str]] = [
    (lambda: Guards(min_chosen_reward=float("nan")), "--min-chosen-reward nan: give a number"),
    (lambda: Guards(max_rejected_reward=float("inf")), "--max-rejected-reward inf: give a number"),
    (lambda: Guards(min_gap=-1), "--min-gap -1: give a number, 0 or more"),
    (lambda: Guards(max_gap=float("nan")), "--max-gap nan"),
    (lambda: Guards(min_length_ratio=0), "--min-length-ratio 0: give a number over 0"),
    (lambda: Guards(max_length_ratio=float("inf")), "--max-length-ratio inf"),
    (lambda: Guards(min_length_ratio=2, max_length_ratio=1), "--min-length-ratio 2 is over --max-length-ratio 1"),
    (lambda: Guards(max_similarity=95), "--max-similarity 95: give a number from 0 to 1"),
    (lambda: Guards(token_budget=0), "--token-budget 0: give 1 or more"),
    (lambda: Guards(tokenizer=Path("t.json")), "--tokenizer t.json: give --token-budget too"),
    (lambda: Guards(token_budget=9, tokenizer=Path("gone.json")), "--tokenizer gone.json: no tokenizer.json"),
    (lambda: Guards(max_pairs=0), "--max-pairs 0: give 1 or more"),
    (lambda: Guards(max_pairs_per_response=0), "--max-pairs-per-response 0: give 1 or more"),
]


@pytest.mark.parametrize(("make", "wanted"), WRONG, ids=[wanted for _, wanted in WRONG])
def test_wrong_numbers_are_usage_errors(make: Callable[[], Any], wanted: str) -> None:
    """Each names its flag and value, before anything is read."""
    with pytest.raises(UsageError, match="^--") as raised:
        make()
    assert str(raised.value).startswith(wanted)


@pytest.mark.parametrize("rewards", [[5e-324, 0.0], [0.0] * 20 + [5e-324], [1e-200, 0.0, 2e-200]])
def test_rewards_nearer_than_their_squares_have_a_spread(rewards: list[float]) -> None:
    """A gap in standard deviations is a number for any two rewards that differ."""
    outcome = outcome_of(group(rewards), gap="zscore", min_gap=0.15)
    assert (outcome.reason, len(outcome.kept)) == (None, 1)
