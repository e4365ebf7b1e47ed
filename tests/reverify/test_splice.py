"""Splicing a verdict into a row: what it owns changes, and every other byte stays."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import VerifierError
from collector.records.rows import Verdict
from collector.reverify.splice import members_of, rescored

LINE = (
    b'{"_ng_task_index": 0,"q":1.50 , "t":"a\\u0062\\/\\"}{,:","reward":0.5,'
    b'"reward_components":{"a":1},"big":12345678901234567890123,"o":{ "x" : [1,2 ] }}'
)


def loads(line: bytes) -> dict[str, Any]:
    row = json.loads(line)
    assert isinstance(row, dict)
    return row


def test_only_the_verdicts_members_change() -> None:
    """The reward changes in its place, the old one and its components are kept, new fields stand at the end."""
    done = rescored(LINE, Verdict(1.0, {"b": 0.25}, {"judge": "ok"}))
    assert done == (
        b'{"_ng_task_index": 0,"q":1.50 , "t":"a\\u0062\\/\\"}{,:","reward":1.0,'
        b'"reward_components":{"b":0.25},"big":12345678901234567890123,"o":{ "x" : [1,2 ] },'
        b'"judge":"ok","previous_reward":0.5,"previous_fields":{"reward_components":{"a":1}}}\n'
    )


def test_a_verdict_without_components_takes_the_old_ones_away() -> None:
    """Components, vetoes and failure marks of the old verdict would speak of the new one."""
    line = b'{"a":1,"reward":0.0,"reward_components":{"a":1},"vetoed_by":["x"],"_ng_failure_class":"judge_failed"}'
    row = loads(rescored(line, Verdict(1.0)))
    assert list(row) == ["a", "reward", "previous_reward", "previous_fields"]
    assert row["previous_fields"] == {
        "reward_components": {"a": 1},
        "vetoed_by": ["x"],
        "_ng_failure_class": "judge_failed",
    }


def test_scoring_twice_keeps_the_last_before() -> None:
    """previous_reward is that of the verdict before, not of all before; the rest of the row is as it was."""
    once = rescored(LINE, Verdict(1.0, {}, {"judge": "one"}))
    twice = rescored(once, Verdict(0.25, {}, {"judge": "two"}))
    row = loads(twice)
    assert (row["reward"], row["previous_reward"], row["judge"]) == (0.25, 1.0, "two")
    assert row["previous_fields"] == {"judge": "one"}
    assert loads(rescored(twice, Verdict(0.25, {}, {"judge": "two"}))).get("previous_fields") is None


@pytest.mark.parametrize("reward", [b"null", b'"1"', b"true"])
def test_what_was_no_reward_is_no_previous_reward(reward: bytes) -> None:
    """A previous_reward is a number; another value is kept among the fields, null is nothing."""
    row = loads(rescored(b'{"reward":' + reward + b"}", Verdict(1.0)))
    assert "previous_reward" not in row
    assert row.get("previous_fields") == (None if reward == b"null" else {"reward": json.loads(reward)})


def test_a_row_without_a_reward_gets_one() -> None:
    """Rollouts that were collected without a verifier."""
    assert rescored(b'{"a":1}', Verdict(0.5)) == b'{"a":1,"reward":0.5}\n'
    assert rescored(b" { } ", Verdict(0.5), (3, 1)) == b'{"reward":0.5,"_ng_task_index":3,"_ng_rollout_index":1}\n'


def test_names_that_are_taken() -> None:
    """A verdict's field under a name of the stream's, or one that went aside before, goes to reply_fields again."""
    line = b'{"label":"row","reply_fields":{"label":"old","agent":1},"seed":4}'
    row = loads(rescored(line, Verdict(1.0, {}, {"label": "new", "seed": 9})))
    assert (row["label"], row["seed"]) == ("row", 4)
    assert row["reply_fields"] == {"label": "new", "agent": 1, "seed": 9}


def test_the_mark_of_an_incomplete_group_goes() -> None:
    """It spoke of the file that the row stood in."""
    assert b"_incomplete" not in rescored(b'{"a":1,"_incomplete":"1 of 2 rollouts missing: 1"}', Verdict(1.0))


@pytest.mark.parametrize("reward", [float("nan"), float("inf"), True, "1"])
def test_only_finite_numbers_are_written(reward: Any) -> None:
    """JSON has no NaN; a verdict that is none is a failure."""
    with pytest.raises(VerifierError, match="a finite number is needed"):
        rescored(b"{}", Verdict(reward))
    with pytest.raises(VerifierError, match="component 'c'"):
        rescored(b"{}", Verdict(1.0, {"c": reward}))
    with pytest.raises(VerifierError, match="cannot be written as JSON"):
        rescored(b"{}", Verdict(1.0, {}, {"x": {1, 2}}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["reward", "judge", "a", 'q"{', "\\", "é", "_incomplete", ""]) | st.text(max_size=6)


@given(
    st.dictionaries(NAMES, JSON, max_size=8),
    st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", "\r :  ")]),
    st.booleans(),
)
def test_any_row_keeps_its_bytes(row: dict[str, Any], separators: tuple[str, str], ascii_only: bool) -> None:
    """However a row is written: its members put together again are the row, and a rescored row differs in no other."""
    line = json.dumps(row, separators=separators, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    members = members_of(line)
    assert b"{" + b",".join(b"".join(member[1:]) for member in members) + b"}" == line.strip()
    after = {member.name: member for member in members_of(rescored(line, Verdict(0.5, {}, {"judge": "j"})))}
    for member in members:
        if member.name not in ("reward", "judge", "_incomplete", "reward_components", "previous_reward"):
            assert after[member.name] == member


@pytest.mark.parametrize("line", [b"", b"[]", b"1", b'{"a":1', b'{"a":1}}', b'{"a" 1}', b"{,}"])
def test_what_is_no_object_is_refused(line: bytes) -> None:
    """Nothing but an object has members."""
    with pytest.raises(msgspec.DecodeError):
        members_of(line)


def test_a_name_that_stands_twice_counts_once() -> None:
    """The last one, as every reader does it."""
    row = orjson.loads(rescored(b'{"a":1,"reward":1,"a":[2],"reward":0.25}', Verdict(0.5)))
    assert row == {"a": [2], "reward": 0.5, "previous_reward": 0.25}
