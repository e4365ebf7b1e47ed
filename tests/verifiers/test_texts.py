"""`exact`, `contains` and `embedded`, and the fields of the row that all verifiers read."""

from __future__ import annotations

from typing import Any

import pytest

from collector.embedded.tasks import prompt_rows
from collector.errors import VerifierError
from collector.prompts import read_rows
from tests.verifiers.make import build, judge, make_row

EXACT: list[tuple[str, object, str, float]] = [
    ("exact", "Paris", "Paris", 1.0),
    ("exact", "Paris", " Paris\n", 1.0),
    ("exact", "Paris", "Paris.", 0.0),
    ("exact", "Paris", "paris", 0.0),
    ("exact", "Paris", "", 0.0),
    ("exact", "", "", 1.0),
    ("exact", 42, "42", 1.0),
    ("exact", True, "true", 1.0),
    ("exact:strip=false", "Paris", "Paris ", 0.0),
    ("exact:ignore_case", "STRASSE", "straße", 1.0),
]

CONTAINS: list[tuple[str, object, str, float]] = [
    ("contains", "Paris", "It is Paris, I think", 1.0),
    ("contains", "Paris", "It is paris", 0.0),
    ("contains:ignore_case", "Paris", "It is PARIS", 1.0),
    ("contains", ["a", "b"], "b then a", 1.0),
    ("contains", ["a", "z"], "b then a", 0.0),
    ("contains", 42, "the 42nd", 1.0),
    ("contains", "Paris", "", 0.0),
]


@pytest.mark.parametrize(("spec", "expected", "text", "reward"), EXACT + CONTAINS)
async def test_texts_are_compared(spec: str, expected: object, text: str, reward: float) -> None:
    """The reward for an expected text and a reply, by verifier and parameter."""
    assert (await judge(spec, {"expected_answer": expected}, text)).reward == reward


@pytest.mark.parametrize("spec", ["exact:field=gold", "contains:field=gold", "numeric:field=gold"])
async def test_a_field_may_stand_in_two_places(spec: str) -> None:
    """A field is looked for at the row's top level, then under verifier_metadata; null counts as absent."""
    metadata = {"verifier_metadata": {"gold": "1"}}
    assert (await judge(spec, {"gold": "2", **metadata}, "2")).reward == 1.0
    assert (await judge(spec, metadata, "1")).reward == 1.0
    assert (await judge(spec, {"gold": None, **metadata}, "1")).reward == 1.0


@pytest.mark.parametrize("spec", ["exact", "contains", "numeric"])
async def test_a_row_without_the_field_is_a_failure_and_never_a_zero(spec: str) -> None:
    """The error names the row's line, the field and what the row has; the early check says the same."""
    fields = {"prompt": "x", "answer": "1", "verifier_metadata": "no object"}
    with pytest.raises(VerifierError, match=r"line 7: .*'expected_answer'.*\(it has: prompt, answer, ver") as raised:
        await judge(spec, fields, "1")
    assert raised.value.failure_class == "missing_field"
    assert not raised.value.retryable
    assert build(spec).check(make_row(fields)) == str(raised.value).removeprefix("line 7: ")
    assert build(spec).check(make_row({"expected_answer": "1"})) is None


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        ("exact", ["a"]),
        ("exact", {"a": 1}),
        ("contains", []),
        ("contains", ""),
        ("contains", ["a", ""]),
        ("contains", ["a", 1]),
        ("contains", {"a": 1}),
        ("numeric", "none"),
        ("numeric", True),
        ("numeric", [1]),
        ("numeric", "1/0"),
    ],
)
async def test_a_field_that_cannot_be_used_is_a_failure(spec: str, value: Any) -> None:
    """What would match everything or nothing is a mistake in the row, not a reward."""
    with pytest.raises(VerifierError, match="line 7: the field 'expected_answer'") as raised:
        await judge(spec, {"expected_answer": value}, "a")
    assert raised.value.failure_class == "bad_field"
    assert build(spec).check(make_row({"expected_answer": value})) == str(raised.value).removeprefix("line 7: ")


def test_long_names_of_a_row_stay_a_short_line() -> None:
    """A row's own names are strangers' text: they neither fill the screen nor break the line."""
    problem = build("exact").check(make_row({"a\nb\x1b[31m": 1, "x" * 10_000: 2})) or ""
    assert "(it has: a b, xxx" in problem
    assert len(problem) < 500
    assert problem.isprintable()


async def test_embedded_grades_the_bundled_prompts() -> None:
    """The bundled rows are graded with their components, also when their fields stand under verifier_metadata."""
    row = next(read_rows(prompt_rows("heldout"), 1))
    answer = f"Answer: {row.fields['expected_answer']}"
    verdict = await judge("embedded", row.fields, answer)
    assert verdict.components == {"format": 1.0, "correct": 1.0, "steps": 0.0}
    assert verdict.reward == 0.7
    assert await judge("embedded", {"verifier_metadata": row.fields}, answer) == verdict
    assert (await judge("embedded", row.fields, "")).reward == 0.0


async def test_embedded_refuses_other_rows() -> None:
    """A row that is no bundled task is a failure that says so, before the run and during it."""
    with pytest.raises(VerifierError, match=r"line 7: .*'kind'.*bundled") as raised:
        await judge("embedded", {"expected_answer": "1"}, "1")
    assert raised.value.failure_class == "missing_field"
    assert "'kind'" in (build("embedded").check(make_row({"expected_answer": "1"})) or "")
