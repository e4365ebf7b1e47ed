"""`--where` against an oracle: expressions drawn at random, each with its meaning in plain Python beside its text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pairing.filters import Where
from tests.pairing.make import Row, our_row
from tests.pairing.pools import rollout_of

Meaning = Callable[[Row], Any]
Term = tuple[str, Meaning]

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, 1.0, -1.5])
    | st.sampled_from(["", "a", "ab"]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)
FIELDS = ("a", "b", "c")


def typed(value: Any) -> Any:
    """A value that Python compares as JSON does: true is no 1, inside of lists either; 1 is 1.0."""
    if isinstance(value, bool):
        return ("bool", value)
    return [typed(one) for one in value] if isinstance(value, list) else value


def ordered(left: Any, right: Any) -> bool:
    kinds = [("text" if isinstance(v, str) else "number" if type(v) in (int, float) else None) for v in (left, right)]
    return kinds[0] is not None and kinds[0] == kinds[1]


def contained(left: Any, right: Any) -> bool:
    if isinstance(right, str):
        return isinstance(left, str) and left in right
    return isinstance(right, list) and typed(left) in [typed(one) for one in right]


SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda left, right: bool(typed(left) == typed(right)),
    "!=": lambda left, right: bool(typed(left) != typed(right)),
    "<": lambda left, right: ordered(left, right) and left < right,
    "<=": lambda left, right: ordered(left, right) and left <= right,
    ">": lambda left, right: ordered(left, right) and left > right,
    ">=": lambda left, right: ordered(left, right) and left >= right,
    "in": contained,
    "not in": lambda left, right: not contained(left, right),
}


def length(value: Any) -> int | None:
    return len(value) if isinstance(value, str | list) else None


def member(value: Any, place: int) -> Any:
    return value[place] if isinstance(value, list) and place < len(value) else None


VALUE_TERMS: st.SearchStrategy[Term] = st.one_of(
    VALUES.map(lambda value: (json.dumps(value), lambda row: value)),
    st.sampled_from(FIELDS).map(lambda name: (name, lambda row: row.get(name))),
    st.sampled_from(FIELDS).map(lambda name: (f"len({name})", lambda row: length(row.get(name)))),
    st.tuples(st.sampled_from(FIELDS), st.integers(0, 2)).map(
        lambda it: (f"{it[0]}.{it[1]}", lambda row: member(row.get(it[0]), it[1]))
    ),
)


def compared(term: tuple[Term, str, Term]) -> Term:
    (left, mine), sign, (right, theirs) = term
    return f"{left} {sign} {right}", lambda row: SIGNS[sign](mine(row), theirs(row))


def joined(terms: tuple[str, list[Term]]) -> Term:
    word, members = terms
    decide = all if word == "and" else any
    return (
        "(" + f" {word} ".join(text for text, _ in members) + ")",
        lambda row: decide(bool(meaning(row)) for _, meaning in members),
    )


def negated(term: Term) -> Term:
    text, meaning = term
    return f"not ({text})", lambda row: not meaning(row)


EXPRESSIONS: st.SearchStrategy[Term] = st.recursive(
    VALUE_TERMS | st.tuples(VALUE_TERMS, st.sampled_from(sorted(SIGNS)), VALUE_TERMS).map(compared),
    lambda inner: (
        inner.map(negated)
        | st.tuples(st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=4)).map(joined)
    ),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(EXPRESSIONS, st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_an_expression_means_what_its_words_say(expression: Term, fields: Row) -> None:
    """Comparisons, membership, length, places, `and`, `or` and `not` over values of every kind, absent ones too."""
    text, meaning = expression
    assert (Where(text).fault(rollout_of(our_row(0, 0, 1.0, **fields))) is None) == bool(meaning(fields))
