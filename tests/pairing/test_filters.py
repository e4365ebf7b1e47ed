"""`--where`: what an expression means, how a wrong one is told, and what it does to a run."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import UsageError
from pairing import Guards, PairReport, build_pairs, hints
from pairing.filters import Where, parse
from tests.pairing.make import our_row, write_lines, write_rows
from tests.pairing.pools import rollout_of
from tests.pairing.test_identity import assert_adds_up

ROW = our_row(3, 1, 0.5, "The answer is 7") | {
    "level": "hard",
    "tags": ["a", "b", 3],
    "nested": {"deep": {"x": 1.5}, "list": [{"y": True}]},
    "flag": True,
    "one": 1,
    "none": None,
    "odd name": "z",
    "answer": "7",
    "len": 4,
}


def holds(text: str, row: dict[str, Any] = ROW) -> bool:
    return Where(text).fault(rollout_of(row)) is None


@pytest.mark.parametrize(
    "text",
    [
        "reward >= 0.5",
        "reward<0.6 and reward>0.4",
        'finish_reason == "stop"',
        "finish_reason == 'stop'",
        "finish_reason != 'length'",
        "nested.deep.x == 1.5",
        "nested.list.0.y",
        "nested.list.1.y == null",
        "tags.2 == 3",
        "`odd name` == 'z'",
        "_ng_task_index == 3",
        "level in ['hard', 'medium']",
        "level not in ['easy']",
        "'ar' in level",
        "'deep' in nested",
        "3 in tags and 'a' in tags",
        "not (level == 'easy') and flag",
        "not level == 'easy'",
        "false or flag and true",
        "true or false and false",
        "len(tags) == 3 and len(level) == 4 and len(nested) == 2",
        "len(answer()) == 15",
        "answer() ~ '[0-9]$'",
        "answer() ~ '(?i)^the'",
        "answer == '7'",
        "len == 4",
        r"answer() ~ '\d'",
        r"'it\'s' != answer",
        "one == 1 and one == 1.0",
        "flag == true",
        "none == null and gone == null and gone.deep.er == null",
        "[1, [2]] == [1, [2]]",
        "reward > -1e3",
        "'b' < 'c'",
    ],
)
def test_it_holds(text: str) -> None:
    """Fields, paths, comparisons, lists, patterns and the answer's text."""
    assert holds(text)
    assert not holds(f"not ({text})")


@pytest.mark.parametrize(
    "text",
    [
        "gone >= 0",
        "gone < 0",
        "none <= 1",
        "level > 3",
        "level < 3",
        "flag == 1",
        "flag in [1]",
        "flag > 0",
        "one == '1'",
        "gone in ['x']",
        "level in gone",
        "3 in level",
        "gone ~ 'x'",
        "one ~ '1'",
        "len(one) >= 0",
        "len(gone) == 0",
        "none",
        "''",
        "[]",
        "0",
    ],
)
def test_null_and_other_kinds_have_no_order(text: str) -> None:
    """What the row lacks is null; null, and values of two kinds, are neither more nor less; true is not 1."""
    assert not holds(text)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "expected a field"),
        ("reward >=", "found the end (column 10): reward >=^"),
        ("reward = 1", "equality is `==` (column 8): reward ^= 1"),
        ("reward >= 1 && x", "write `and` (column 13): reward >= 1 ^&& x"),
        ("a || b", "write `or`"),
        ("!a", "write `not`"),
        ("a b", "expected `and`, `or` or the end, found 'b' (column 3): a ^b"),
        ("(a", "expected `)`"),
        ("1 < a < 3", "comparisons do not chain"),
        ("a not b", "expected `in`"),
        ("a ~ b", "a pattern is a text in quotes (column 5)"),
        ("a ~ '('", "no regular expression"),
        ("[1, 2", "expected `,`"),
        ("len(a", "expected `)`"),
        ("'open", "nothing begins with"),
        ("a.__class__()", "expected `and`"),
        ("__import__('os')", "expected `and`"),
        ("(" * 200 + "a" + ")" * 200, "nested more than 50 deep"),
        ("not " * 200 + "a", "nested more than 50 deep"),
        ("[" * 200 + "]" * 200, "nested more than 50 deep"),
    ],
)
def test_a_wrong_expression_is_one_line_with_a_caret(text: str, wanted: str) -> None:
    """What is wrong, the column, and the expression with a caret before the place."""
    with pytest.raises(UsageError, match="^--where: ") as raised:
        Guards(where=text)
    assert wanted in str(raised.value)
    assert str(raised.value).isprintable()


@given(text=st.text(st.sampled_from("ab.0'\"()[]<>=~!& ornti_`\\-e"), max_size=30))
def test_any_text_is_an_expression_or_an_error(text: str) -> None:
    """Nothing else comes of it, and what is read can be asked of any row."""
    try:
        parse(text)
    except UsageError:
        return
    assert isinstance(holds(text), bool)


def test_a_pattern_that_never_ends_is_stopped() -> None:
    """A search that would take ages does not match."""
    assert not holds("answer() ~ '(a+)+$'", our_row(0, 0, 1.0, "a" * 40 + "b"))


def run(tmp_path: Path, where: str, *rows: dict[str, Any]) -> PairReport:
    source = write_rows(tmp_path / "r.jsonl", *rows)
    report = build_pairs(source, tmp_path / "p.jsonl", guards=Guards(where=where), overwrite=True)
    assert_adds_up(report)
    return report


def test_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    """By fields that pairing does not read itself, in files in order and in none, and with NaN beside them."""
    rows = [our_row(t, n, n / 4, meta={"ok": n != 4, "x": float("nan")}) for t in (0, 1) for n in range(5)]
    for ordered in (rows, rows[::-1]):
        report = run(tmp_path, "meta.ok", *ordered)
        assert (dict(report.sample_drops), report.pairs, report.gaps.maximum) == ({"filtered": 2}, 2, 0.75)


def test_the_last_attempt_stands_though_it_is_filtered(tmp_path: Path) -> None:
    """Which attempt counts is decided first: a filter does not bring an earlier one back."""
    report = run(tmp_path, "reward < 0.9", our_row(0, 0, 0.5), our_row(0, 0, 0.95), our_row(0, 1, 0.0))
    assert (report.duplicates, dict(report.sample_drops), report.pairs) == (1, {"filtered": 1}, 0)


def test_a_row_that_cannot_be_read_whole_is_counted(tmp_path: Path) -> None:
    """A number of thousands of digits in a field that is only now looked at; endless nesting breaks the line."""
    rows = [json.dumps(our_row(0, n, float(n), extra="HERE")) for n in range(3)]
    lines = [rows[0].replace('"HERE"', "9" * 5000), rows[1], rows[2].replace('"HERE"', "[" * 5000 + "]" * 5000)]
    source = write_lines(tmp_path / "r.jsonl", lines)
    report = build_pairs(source, tmp_path / "p.jsonl", guards=Guards(where="extra"))
    assert (dict(report.sample_drops), report.broken) == ({"unreadable": 1}, 1)


def test_a_minimum_reward_that_takes_the_rejected_side_is_warned_of(tmp_path: Path) -> None:
    """Most lower-scored answers gone, and hardly a best one: the hint names both, and the flag that asks one side. A
    filter that takes from both sides alike gives no such hint."""
    rows = [our_row(t, n, (1.0, 0.1, 0.2, 0.0)[n], half=n in (0, 1)) for t in range(5) for n in range(4)]
    report = run(tmp_path, "reward >= 0.3", *rows)
    assert (report.filtered.rivals_out, report.filtered.rivals, report.filtered.best_out) == (15, 15, 0)
    (hint,) = (hint for hint in hints(report) if "--where" in hint)
    assert "left out 15 of 15 answers that score lower" in hint
    assert "--min-chosen-reward" in hint
    assert not any("--where" in hint for hint in hints(run(tmp_path, "not half", *rows)))


def test_a_filter_that_holds_for_none_says_so(tmp_path: Path) -> None:
    """A misspelt field leaves nothing; the hint knows that it was the filter."""
    report = run(tmp_path, "rewrd >= 0.3", our_row(0, 0, 1.0), our_row(0, 1, 0.0))
    assert "--where holds for none of them; a field that a row lacks is null" in hints(report)[0]


def test_it_goes_to_another_process() -> None:
    """A copy filters the same."""
    copy = pickle.loads(pickle.dumps(Where("level == 'hard'")))
    assert copy.fault(rollout_of(ROW)) is None
    assert copy.fault(rollout_of(our_row(0, 0))) == "filtered"


@pytest.mark.parametrize("word", ["or", "and"])
def test_a_chain_of_thousands_is_no_deep_one(word: str) -> None:
    """As a tool writes them, one term for each prompt: read and asked without recursion."""
    assert holds(f" {word} ".join(["reward == 0.5"] * 5000))


@pytest.mark.parametrize(
    "text",
    ["len(" * 3000 + "level" + ")" * 3000, "answer() ~ '" + "(" * 3000 + "a" + ")" * 3000 + "'"],
)
def test_nesting_of_any_kind_is_refused(text: str) -> None:
    """In one short line, however long the expression is."""
    with pytest.raises(UsageError, match="deep") as caught:
        parse(text)
    assert len(str(caught.value)) < 300


def test_a_pattern_that_takes_long_to_compile_is_refused() -> None:
    """A million characters take a quarter of a minute, and no one writes them by hand."""
    with pytest.raises(UsageError, match="10,000 characters at most"):
        parse("answer() ~ '" + "|".join("a" * n for n in range(300)) + "'")


@pytest.mark.parametrize("place", ["\u00b2", "\u0663", "9" * 5000])
def test_a_place_that_no_list_has_is_null(place: str) -> None:
    """Digits that Python's own conversion refuses, or takes and JSON does not know."""
    assert holds(f"tags.{place} == null")


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\tb", "a\nb"])
def test_a_field_of_any_name(name: str) -> None:
    """In backquotes, those too that a JSON text spells with escapes."""
    assert holds(f"`{name}` == 1 and reward == 0.5", ROW | {name: 1})


@pytest.mark.parametrize("text", ["[1] == [true]", "[[0]] == [[false]]", "[1] in [[true], 2]", "has_one == has_true"])
def test_true_is_no_1_inside_of_lists_either(text: str) -> None:
    """Equality looks into lists and objects by the rule that it has outside of them."""
    assert not holds(text, ROW | {"has_one": {"a": 1}, "has_true": {"a": True}})
