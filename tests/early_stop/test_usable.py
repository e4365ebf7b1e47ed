"""A usable pair by rewards alone: the rule, its edges, and that it is the one of the pairing stage."""

from __future__ import annotations

import math
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.usable import RewardRange, usable
from pairing import build_pairs
from pairing.guards import Guards
from pairing.strategies import BestWorst


def range_of(*rewards: float) -> RewardRange:
    found = RewardRange()
    for reward in rewards:
        found.add(reward)
    return found


@pytest.mark.parametrize(
    ("rewards", "gap", "min_chosen", "expected"),
    [
        ((), 0.0, None, False),
        ((0.5,), 0.0, None, False),
        ((0.5, 0.5), 0.0, None, False),
        ((0.0, 1.0), 1.0, None, True),
        ((1.0, 0.0), 1.1, None, False),
        ((0.2, 0.35), 0.15, None, False),  # in floats they are a little closer than that
        ((0.0, 0.4), 0.2, 0.5, False),
        ((0.0, 0.5), 0.2, 0.5, True),
        ((-3.0, -1.0), 2.0, -1.0, True),
        ((1e308, -1e308), 1.0, None, False),  # too far apart for a number
    ],
)
def test_the_rule(rewards: tuple[float, ...], gap: float, min_chosen: float | None, expected: bool) -> None:
    """Two rewards that differ, at least the gap apart, the best one good enough."""
    assert usable(range_of(*rewards), gap, min_chosen) is expected


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=6))
def test_the_order_does_not_matter(rewards: list[float]) -> None:
    """Count, best and worst are those of the rewards in any order; without one there is neither."""
    found = range_of(*rewards)
    assert (found.count, found.best, found.worst) == (
        len(rewards),
        max(rewards, default=-math.inf),
        min(rewards, default=math.inf),
    )


def test_the_pairing_stage_agrees(tmp_path: Path) -> None:
    """Of prompts with every kind of rewards exactly the usable ones are paired."""
    values = (-0.1, 0.0, 0.1, 0.2, 0.35, 0.5, 1.0)
    groups = [(one, other) for one in values for other in values]
    lines = [_line(task, repeat, reward) for task, group in enumerate(groups) for repeat, reward in enumerate(group)]
    source = tmp_path / "rollouts.jsonl"
    source.write_bytes(b"".join(lines))
    for gap, least in ((0.0, None), (0.15, None), (0.15, 0.3), (0.5, 0.5)):
        report = build_pairs(
            source,
            tmp_path / "pairs.jsonl",
            strategy=BestWorst(min_gap=gap),
            guards=Guards(min_chosen_reward=least),
            overwrite=True,
        )
        assert report.pairs == sum(usable(range_of(*group), gap, least) for group in groups)


def _line(task: int, repeat: int, reward: float) -> bytes:
    row = {
        "_ng_task_index": task,
        "_ng_rollout_index": repeat,
        "responses_create_params": {"input": f"question {task}"},
        "output": [{"role": "assistant", "content": f"answer {repeat}"}],
        "reward": reward,
    }
    return orjson.dumps(row) + b"\n"
