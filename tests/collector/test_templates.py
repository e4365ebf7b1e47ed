"""Templates: look-ups alone, whatever a row or a template says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import InputError, UsageError
from collector.templates import Template

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def fill(text: str, fields: dict[str, Any]) -> str:
    return Template.parse(text, "--prompt-template t.txt").fill(fields, "in.jsonl:7")


@given(st.text())
def test_any_literal_text_comes_out_as_it_went_in(text: str) -> None:
    """With its braces doubled a text is literal, whatever stands in it."""
    assert fill(text.replace("{", "{{").replace("}", "}}"), {}) == text


@given(st.text(alphabet="{}._ab0 \n!:[]", max_size=30), st.dictionaries(st.sampled_from(["a", "b", "ab"]), JSON))
def test_nothing_but_one_clear_error_comes_of_any_template_and_row(text: str, fields: dict[str, Any]) -> None:
    """A text, a UsageError when the template is read, or an InputError for the row: never anything else."""
    try:
        template = Template.parse(text, "t")
    except UsageError:
        return
    try:
        assert isinstance(template.fill(fields, "in.jsonl:7"), str)
    except InputError as error:
        assert str(error).startswith("in.jsonl:7: ")


@given(st.text(), st.text())
def test_what_a_row_says_is_never_read_as_a_template(one: str, other: str) -> None:
    """Braces and field names inside a value stay as they are."""
    assert fill("{a}|{b}", {"a": "{b}" + one, "b": other}) == "{b}" + one + "|" + other


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("Q: {question}\nA:", "Q: 1+1?\nA:"),
        ("{ question }", "1+1?"),
        ("{answer} {ok} {share} {tags}", '2 true 0.5 ["x","y"]'),
        ("{nested.a.b} {tags.1} {choices.0.text}", "deep y first"),
        ("{topic}", "sums"),
        ("{{question}} {{{question}}}", "{question} {1+1?}"),
        ("{expected answer}", "two"),
        ("{verifier_metadata.topic}", "sums"),
    ],
)
def test_fields_are_found_and_written(text: str, filled: str) -> None:
    """Text as it is, other values as JSON; inside objects and lists; under verifier_metadata where the top has none."""
    fields = {
        "question": "1+1?",
        "answer": 2,
        "ok": True,
        "share": 0.5,
        "tags": ["x", "y"],
        "nested": {"a": {"b": "deep"}},
        "choices": [{"text": "first"}],
        "expected answer": "two",
        "verifier_metadata": {"topic": "sums", "question": "not this one"},
    }
    assert fill(text, fields) == filled


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{0.__class__}", "{0.__class__}"),
        ("{}", "{}"),
        ("{question.__class__}", "{question.__class__}"),
        ("{__init__}", "{__init__}"),
        ("{question!r}", "{question!r}"),
        ("{question:>10}", "{question:>10}"),
        ("{question[0]}", "{question[0]}"),
        ('{"answer": 1}', '{"answer": 1}'),
        ("one {", "{"),
        ("two }", "}"),
        ("{a\n}{b", "{"),
    ],
)
def test_what_is_no_field_is_refused_when_the_template_is_read(text: str, shown: str) -> None:
    """Attributes, conversions, format specifications, indices and stray braces: before any row is seen."""
    with pytest.raises(UsageError) as caught:
        Template.parse("first line\n" + text, "--prompt-template t.txt")
    assert str(caught.value).startswith("--prompt-template t.txt: line ")
    assert f": {shown} is no field of a row: write {{name}}" in str(caught.value)


@pytest.mark.parametrize("text", ["{gone}", "{question.inner}", "{tags.7}", "{tags.x}", "{nothing}", "{tags.٣}"])
def test_a_field_that_the_row_lacks_is_named_with_file_and_line(text: str) -> None:
    """Null counts as lacking: nobody wants the word null in a prompt."""
    fields = {"question": "1+1?", "tags": ["x"], "nothing": None}
    with pytest.raises(InputError, match=rf"in.jsonl:7: the template wants the field '{text[1:-1]}'.*question, tags"):
        fill(text, fields)
