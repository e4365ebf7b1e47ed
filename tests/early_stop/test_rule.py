"""When a prompt stops: the rule, round by round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collector.early_stop.rule import Standing, StopRule, rule_of
from collector.errors import UsageError
from collector.settings import CollectSettings

RULE = StopRule(gap=0.5, min_chosen=None, futile_after=None, first=2, step=1, most=8)


def given(**changes: Any) -> CollectSettings:
    fields: dict[str, Any] = {
        "input": Path("in.jsonl"),
        "output": Path("out.jsonl"),
        "base_url": "http://127.0.0.1:1/v1",
        "verifier": "numeric",
        "num_repeats": 8,
        "until_gap": 0.5,
    }
    return CollectSettings(**{**fields, **changes})


def standing(*rewards: float | tuple[float, str]) -> Standing:
    """Of rewards, each alone or with a flag of its answer."""
    found = Standing()
    for each in rewards:
        reward, flag = each if isinstance(each, tuple) else (each, "")
        found.note(reward, (flag,))
    return found


@pytest.mark.parametrize(
    ("rule", "size", "rewards", "stop"),
    [
        (RULE, 2, (0.0, 0.5), "usable"),
        (RULE, 2, (0.0, 0.4), None),
        (RULE, 8, (0.0,) * 8, "cap"),
        (RULE, 8, (0.0,) * 7 + (0.5,), "usable"),
        (RULE, 7, (0.0,) * 7, None),
        (RULE, 2, (), "failed"),
        (RULE, 8, (), "failed"),
        (RULE, 3, (1.0,), None),
        (RULE, 2, (0.0, (1.0, "truncated")), None),
        (RULE, 2, (1.0, (0.0, "truncated")), "usable"),
        (RULE, 2, (1.0, (0.0, "empty")), None),
        (RULE, 3, (1.0, (0.0, "empty"), 0.5), "usable"),
    ],
)
def test_what_stops_a_prompt(rule: StopRule, size: int, rewards: tuple[Any, ...], stop: str | None) -> None:
    """A pair that the pairing stage takes by default, the cap, or no reward at all; else the next round is due."""
    assert rule.stop(size, standing(*rewards)) == stop


@pytest.mark.parametrize(
    ("rewards", "stop"),
    [
        ((1.0, 1.0), None),
        ((1.0, 1.0, 1.0), "futile"),
        ((0.0, (0.0, "truncated"), 0.0), "futile"),
        (((0.0, "empty"),) * 3, "futile"),
        ((1.0, 1.0, 0.9), None),
        ((1.0, 1.0, (0.0, "truncated")), "usable"),
        ((0.0, 0.0, (1.0, "truncated")), None),
    ],
)
def test_what_is_futile(rewards: tuple[Any, ...], stop: str | None) -> None:
    """So many rewards that are all equal; one that differs, on whichever side, goes on."""
    rule = rule_of(given(futile_after=3))
    assert rule is not None
    assert rule.stop(3, standing(*rewards)) == stop


def test_a_better_one_that_is_not_good_enough() -> None:
    """With --min-chosen a gap alone is no pair."""
    rule = rule_of(given(min_chosen=0.8))
    assert rule is not None
    assert rule.stop(2, standing(0.0, 0.7)) is None
    assert rule.stop(3, standing(0.0, 0.7, 0.8)) == "usable"


@pytest.mark.parametrize(
    ("changes", "sizes"),
    [
        ({}, [2, 3, 4, 5, 6, 7, 8]),
        ({"num_repeats": 2}, [2]),
        ({"samples_per_request": 3}, [3, 6, 8]),
        ({"samples_per_request": 2}, [2, 4, 6, 8]),
        ({"samples_per_request": 16}, [8]),
        ({"temperatures": (0.5, 0.8, 1.0)}, [2, 3, 4, 5, 6, 7, 8]),
        ({"temperatures": (0.5, 1.0), "samples_per_request": 2}, [4, 8]),
    ],
)
def test_the_rounds(changes: dict[str, Any], sizes: list[int]) -> None:
    """Two samples, then one at a time; whole requests where one brings several."""
    rule = rule_of(given(**changes))
    assert rule is not None
    found = [rule.reached(0)]
    while found[-1] < rule.most:
        found.append(rule.reached(found[-1] + 1))
    assert found == sizes
    for asked in range(1, rule.most + 1):
        assert rule.reached(asked) == min(size for size in sizes if size >= asked)


def test_a_ladder_is_gone_through_before_giving_up() -> None:
    """A prompt that is hopeless at one temperature may not be at the next."""
    rule = rule_of(given(temperatures=(0.2, 0.6, 1.0, 1.4), futile_after=2))
    assert rule is not None
    assert rule.stop(3, standing(0.0, 0.0, 0.0)) is None
    assert rule.stop(4, standing(0.0, 0.0, 0.0, 0.0)) == "futile"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"until_gap": -0.1}, "--until-gap -0.1"),
        ({"until_gap": float("nan")}, "--until-gap nan"),
        ({"num_repeats": 1}, "--max-repeats 1: a pair needs two"),
        ({"num_repeats": 100_000}, "--max-repeats 100000"),
        ({"min_chosen": float("inf")}, "--min-chosen inf"),
        ({"futile_after": 1}, "--futile-after 1"),
        ({"futile_after": 8}, "--futile-after 8: .* under --max-repeats 8"),
        ({"verifier": None}, "--until-gap: needs rewards"),
        ({"until_gap": None, "min_chosen": 0.5}, "--min-chosen 0.5: goes with --until-gap"),
        ({"until_gap": None, "futile_after": 3}, "--futile-after 3: goes with --until-gap"),
        ({"repeats_by_agent": {"a": 2, "_default": 8}}, "--until-gap and --num-repeats by agent"),
    ],
)
def test_settings_that_make_no_sense(changes: dict[str, Any], message: str) -> None:
    """Each is refused with its flag."""
    with pytest.raises(UsageError, match=message):
        given(**changes)


def test_a_run_without_it_has_no_rule_and_its_identity_of_old() -> None:
    """So runs from before can be resumed; a gap of 0 is a gap."""
    plain = given(until_gap=None)
    assert rule_of(plain) is None
    assert not {"until_gap", "min_chosen", "futile_after"} & plain.identity().keys()
    assert given(until_gap=0.0).identity()["until_gap"] == 0.0
