"""`regex`: patterns of the command line and of the rows, and patterns that would never end."""

from __future__ import annotations

import re

import pytest

from collector.errors import VerifierError, VerifierSetupError
from tests.verifiers.make import build, judge, make_row


@pytest.mark.parametrize(
    ("spec", "text", "reward"),
    [
        (r"regex:pattern=answer is (\d+)", "the answer is 42", 1.0),
        (r"regex:pattern=answer is (\d+)", "no", 0.0),
        (r"regex:pattern=^a{2,3}:b=c,d$", "aa:b=c,d", 1.0),
        (r"regex:pattern=^a{2,3}:b=c,d$", "a:b=c,d", 0.0),
        (r"regex:ignore_case,pattern=yes", "YES", 1.0),
        (r"regex:pattern=yes", "YES", 0.0),
        (r"regex:match=fullmatch,pattern=yes", "yes!", 0.0),
        (r"regex:match=fullmatch,pattern=yes", "yes", 1.0),
        (r"regex:pattern=(?=.*b)(a)b\1", "xaba", 1.0),
        (r"regex", "an apple", 1.0),
        (r"regex:field=gold", "silver", 0.0),
    ],
)
async def test_patterns_are_matched(spec: str, text: str, reward: float) -> None:
    """A pattern may hold commas, colons and equals signs; it is searched for unless fullmatch is asked for."""
    assert (await judge(spec, {"pattern": "ap+le", "gold": "^gold"}, text)).reward == reward


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("regex:pattern=(", "regex: pattern=(: missing )"),
        ("regex:pattern=", "pattern=: give a value"),
        ("regex:patern=a", "unknown parameter 'patern'; it takes field, ignore_case, match, timeout, pattern"),
        ("regex:pattern=a,ignore_case=true", "pattern runs to the end of the specification: put ignore_case before it"),
        ("regex:field=a,pattern=b", "give pattern, or the field that holds each row's own, not both"),
    ],
)
def test_a_wrong_pattern_is_said_at_start(spec: str, message: str) -> None:
    """A pattern that does not compile, or parameters behind it, stop the run before it starts."""
    with pytest.raises(VerifierSetupError, match=re.escape(message)):
        build(spec)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "verifier_metadata (it has: ); give pattern=..., or name another with field="),
        ({"pattern": "("}, "line 7: the field 'pattern' is no pattern: missing )"),
        ({"pattern": 3}, "line 7: the field 'pattern' is a number; a pattern is needed"),
    ],
)
async def test_a_row_with_a_wrong_pattern_is_a_failure(fields: dict[str, object], message: str) -> None:
    """A row's own pattern that is absent or bad names the row, early and during the run."""
    with pytest.raises(VerifierError, match=re.escape(message)) as raised:
        await judge("regex", fields, "a")
    assert build("regex").check(make_row(fields)) == str(raised.value).removeprefix("line 7: ")


@pytest.mark.parametrize(
    ("pattern", "text"), [("(x+x+)+y", "x" * 100_000), ("a.*b.*c.*d", "ab" * 50_000), (r"\s+$", " " * 500_000 + "x")]
)
async def test_a_match_that_does_not_end_is_stopped(pattern: str, text: str) -> None:
    """A pattern that backtracks for hours makes a failure that says so, not a hung run and not a zero."""
    with pytest.raises(VerifierError, match=r"line 7: .*still matching after 0\.05 seconds on a reply of \d") as raised:
        await judge(f"regex:timeout=0.05,pattern={pattern}", {}, text)
    assert raised.value.failure_class == "verifier_timeout"
    assert not raised.value.retryable
