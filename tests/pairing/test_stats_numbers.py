"""Each number of `pairmill stats` by examples worked out by hand, and pass@k against counting."""

from __future__ import annotations

import json
import math
import zlib
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairing.reading.files import input_files
from pairing.settings import PairSettings
from pairing.stats.figures import Figures, as_json
from pairing.stats.gather import Asked, StatsReport, gather
from pairing.stats.lengths import Lengths
from pairing.stats.passes import Passes, pass_at_k
from pairing.stats.render import render_stats
from pairing.stats.variety import Variety, distinct_n
from tests.pairing.make import ABSENT, Row, gym_row, our_row, write_lines, write_rows


def report(path: Path, **asked: Any) -> StatsReport:
    return gather(input_files([path]), PairSettings(), Asked(**asked))


def of_rows(tmp_path: Path, *rows: Row, **asked: Any) -> StatsReport:
    return report(write_rows(tmp_path / "r.jsonl", *rows), **asked)


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_draws_with_a_success(numbers: tuple[int, int, int]) -> None:
    """Of all ways to draw k of n answers, those that hold one of the c successes: counted one by one."""
    answers, successes, k = numbers
    draws = list(combinations(range(answers), k))
    hits = sum(any(drawn < successes for drawn in draw) for draw in draws)
    assert pass_at_k(answers, successes, k) == pytest.approx(hits / len(draws))


def test_pass_at_k_of_several_prompts() -> None:
    """n=4: c=2 gives 1/2, 5/6, 1; c=0 gives 0. A prompt with 2 answers counts up to pass@2: c=1 gives 1/2, 1."""
    passes = Passes()
    for answers, successes in ((4, 2), (4, 0), (2, 1), (0, 0)):
        passes.add(answers, successes)
    found = passes.at()
    assert [(at.k, at.prompts) for at in found] == [(1, 3), (2, 3), (4, 2)]
    assert [at.value for at in found] == pytest.approx([(1 / 2 + 0 + 1 / 2) / 3, (5 / 6 + 0 + 1) / 3, (1 + 0) / 2])


def test_k_ends_at_the_most_answers() -> None:
    """1, 2, 4 and then 5 for 5 repeats; nothing at all without answers. Many repeats are no float overflow."""
    passes = Passes()
    assert passes.at() == []
    passes.add(5, 1)
    assert [at.k for at in passes.at()] == [1, 2, 4, 5]
    assert pass_at_k(10_000, 3, 5_000) == pytest.approx(1 - 0.125, abs=1e-3)


def test_correlation_is_within_prompts() -> None:
    """In each prompt the longer answer scores lower: -1, although the prompt with long answers scores higher."""
    lengths = Lengths()
    lengths.add_prompt([0.0, 0.2], [12, 10])
    lengths.add_prompt([0.8, 1.0], [102, 100])
    assert lengths.correlation == pytest.approx(-1)


def test_correlation_by_hand() -> None:
    """Rewards 0, 0, 1 against lengths 1, 2, 3: r = 1 / sqrt(2/3 * 2)."""
    lengths = Lengths()
    lengths.add_prompt([0, 0, 1], [1, 2, 3])
    assert lengths.correlation == pytest.approx(1 / math.sqrt(2 / 3 * 2))


@pytest.mark.parametrize(
    ("rewards", "sizes"), [([1.0, 1.0], [1, 2]), ([0.0, 1.0], [5, 5]), ([1.0], [1]), ([-1e308, 1e308], [1, 2])]
)
def test_no_correlation_where_there_is_none_to_tell(rewards: list[float], sizes: list[int]) -> None:
    """Equal rewards, equal lengths, one answer, or numbers beyond floats: None, not 0 and no error."""
    lengths = Lengths()
    lengths.add_prompt(rewards, sizes)
    assert lengths.correlation is None


def test_distinct_n_by_hand() -> None:
    """'a b a' and 'a b': 2 of 5 words, 2 of 3 pairs of words ('a b' twice), 1 of 1 triple."""
    answers = [["a", "b", "a"], ["a", "b"]]
    assert [distinct_n(answers, n) for n in (1, 2, 3, 4)] == [2 / 5, 2 / 3, 1.0, None]


def test_variety_of_a_prompt() -> None:
    """Four answers, three different texts (white space at the ends is none), two different last lines."""
    variety = Variety()
    texts = ["x\nA: 4", "x\nA: 4 ", "y\nA: 4", "A: 5"]
    variety.add(texts)
    variety.add(["alone"])
    assert (variety.unique.mean, variety.last_lines.mean, variety.unique.count) == (3 / 4, 2 / 4, 1)
    joined = "\n".join(text.strip() for text in texts).encode()
    assert variety.compression.mean == len(joined) / len(zlib.compress(joined))


def test_costly_numbers_are_sampled() -> None:
    """Of 2,320 prompts unique answers are told for all, compression for the first 2,000 and one in 16 of the others."""
    variety = Variety()
    for _ in range(2320):
        variety.add(["a", "b"])
    assert (variety.unique.count, variety.compression.count, variety.distinct[1].count) == (2320, 2020, 2020)


def test_saturated_and_hopeless_by_hand(tmp_path: Path) -> None:
    """A prompt is saturated when all its rewards are successes, a single one tells nothing; 0.9999999999999999, a sum
    of weights, is 1, and 1e-17 is 0. An empty answer was judged: it counts."""
    found = of_rows(
        tmp_path,
        *(our_row(0, n, reward) for n, reward in enumerate([1.0, 0.9999999999999999])),
        *(our_row(1, n, 0, text="") for n in range(2)),
        *(our_row(2, n, reward) for n, reward in enumerate([0, 1])),
        *(our_row(3, n, 0.5) for n in range(2)),
        our_row(4, 0, 1.0),
        *(our_row(5, n, reward) for n, reward in enumerate([-1, 1e-17])),
    )
    numbers, figures = found.numbers, Figures.of(found)
    assert (numbers.judged, numbers.all_same) == (5, 2)
    assert [each.task_index for each in numbers.saturated.first] == [0]
    assert [each.task_index for each in numbers.hopeless.first] == [1, 5]
    assert (figures.saturated, figures.hopeless, figures.all_same) == (0.2, 0.4, 0.4)


def test_success_and_failure_are_what_was_asked(tmp_path: Path) -> None:
    """On a scale from 1 to 10, 8 may be a success and 2 a failure."""
    rows = [
        our_row(task, n, reward) for task, pair in enumerate([(8, 9), (1, 2), (7, 9)]) for n, reward in enumerate(pair)
    ]
    found = of_rows(tmp_path, *rows, success=8, failure=2).numbers
    assert (found.saturated.count, found.hopeless.count) == (1, 1)
    assert [at.value for at in found.passes.at()] == [pytest.approx(3 / 6), pytest.approx(2 / 3)]


def test_bias_of_pairs_by_hand(tmp_path: Path) -> None:
    """Three pairs: chosen longer, shorter, and of one length; one rejected side of three is truncated."""
    rows = [
        our_row(0, 0, 1.0, text="long answer"),
        our_row(0, 1, 0.0, text="short", finish_reason="length"),
        our_row(1, 0, 1.0, text="short"),
        our_row(1, 1, 0.5, text="long answer"),
        our_row(2, 0, 1.0, text="yes"),
        our_row(2, 1, 0.0, text="not"),
    ]
    found = of_rows(tmp_path, *rows)
    figures, lengths = Figures.of(found), found.numbers.lengths
    assert (figures.chosen_longer, lengths.equal, lengths.preference) == (1 / 3, 1, 1 / 2)
    assert [lengths.chosen.mean, lengths.rejected.mean] == pytest.approx([19 / 3, 19 / 3])
    assert (figures.chosen_truncated, figures.rejected_truncated, figures.truncated) == (0, 1 / 3, 1 / 6)
    assert figures.mean_gap == pytest.approx(2.5 / 3)
    assert found.numbers.std_spread.mean == pytest.approx((0.5 + 0.25 + 0.5) / 3)


def test_tokens_of_every_kind_of_row(tmp_path: Path) -> None:
    """Own usage; a share of what three samples took together; Gym's in the reply; one row that tells nothing. The pairs
    for a million tokens take that row to be as long as the others."""
    shared = {"input_tokens": 30, "output_tokens": 100, "total_tokens": 130, "samples": 3}
    reply = gym_row(0, 4, 0.5)["response"] | {"usage": {"input_tokens": 5, "output_tokens": 50}}
    rows = [
        our_row(0, 0, 1.0, usage={"input_tokens": 7, "output_tokens": 150, "total_tokens": 157}),
        *(our_row(0, n, 0.0, usage=None, shared_usage=shared) for n in (1, 2, 3)),
        gym_row(0, 4, 0.5, response=reply),
        our_row(1, 0, 1.0),
    ]
    found = of_rows(tmp_path, *rows)
    usage = found.numbers.usage
    assert (usage.known, usage.rollouts) == (5, 6)
    assert (usage.input_tokens, usage.output_tokens) == (7 + 30 + 5, 150 + 100 + 50)
    assert found.funnel.pairs == 1
    assert usage.per_million(1) == pytest.approx(1e6 / (300 * 6 / 5))


@pytest.mark.parametrize(
    "usage", [{"input_tokens": -1, "output_tokens": 2}, {"output_tokens": True}, [1, 2], "many", {"input_tokens": 1}]
)
def test_usage_that_is_none(tmp_path: Path, usage: Any) -> None:
    """A count that is no whole number, or half a usage, is not told; nothing breaks."""
    found = of_rows(tmp_path, our_row(0, 0, 1.0, usage=usage), our_row(0, 1, 0.0))
    assert (found.numbers.usage.known, found.numbers.usage.output_tokens) == (0, None)
    assert as_json(found)["pairs_per_million_output_tokens"] is None


def test_finish_reasons_and_flags_are_counted(tmp_path: Path) -> None:
    """Ours by `finish_reason`, Gym's by the status of the reply; flags by name; odd values are passed over."""
    rows = [
        our_row(0, 0, 1.0, flags=["identical", "refusal"]),
        our_row(0, 1, 0.0, finish_reason="length", flags=["identical", 3]),
        our_row(0, 2, 0.0, finish_reason=None, flags="none", response="gone"),
        gym_row(1, 0, 0.0),
    ]
    usage = of_rows(tmp_path, *rows).numbers.usage
    assert usage.finish_reasons == {"stop": 1, "length": 1, "completed": 1, "(not said)": 1}
    assert usage.flags == {"identical": 2, "refusal": 1}


def test_a_server_that_makes_names_up_takes_no_memory(tmp_path: Path) -> None:
    """Of 200 finish reasons 64 are counted by name, the others together."""
    rows = [our_row(n, 0, 1.0, finish_reason=f"reason {n}" * 50) for n in range(200)]
    reasons = of_rows(tmp_path, *rows).numbers.usage.finish_reasons
    assert (len(reasons), reasons["(others)"], sum(reasons.values())) == (65, 136, 200)
    assert max(map(len, reasons)) <= 60


def test_rows_without_rewards_still_tell_of_their_answers(tmp_path: Path) -> None:
    """A run without verifier has no rewards, but lengths and variety; failures have neither."""
    rows = [our_row(0, n, ABSENT, text=f"{n // 2}") for n in range(4)]
    found = of_rows(tmp_path, *rows, our_row(0, 4, 0.0, _ng_failure_class="judge_failed"))
    figures = Figures.of(found)
    assert (figures.unique, figures.all_same, found.numbers.rewards.count, found.numbers.answers) == (0.5, None, 0, 4)
    assert found.numbers.passes.at() == []


def test_json_holds_only_what_json_can(tmp_path: Path) -> None:
    """Rewards beyond all sums, NaN in a row, no rollouts at all: null in their place, never NaN or Infinity."""
    lines = [json.dumps(our_row(0, n, reward)) for n, reward in enumerate([1e308, -1e308])]
    lines.append(json.dumps(our_row(0, 2, 0.5, usage={"input_tokens": math.nan, "output_tokens": 1})))
    for name, rows in (("huge", lines), ("none", [])):
        found = as_json(report(write_lines(tmp_path / f"{name}.jsonl", rows)))
        assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_rewards_at_the_end_of_what_floats_hold_are_shown_short(tmp_path: Path) -> None:
    """No line of hundreds of digits, and `-` for a deviation that no float holds."""
    text = render_stats(of_rows(tmp_path, *(our_row(0, n, reward) for n, reward in enumerate([1e308, -1e308, 1e307]))))
    assert max(map(len, text.splitlines())) <= 100
    assert "std -, from -1e+308 to 1e+308" in text
    assert "nan" not in text
