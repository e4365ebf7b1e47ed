"""The funnel adds up for any groups, guards and strategies, and nothing is counted under a name nobody knows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pairing import Guards, PairReport
from pairing.build import write_pairs
from pairing.reports.funnel import REASONS
from pairing.settings import PairSettings
from pairing.strategies import STRATEGIES
from tests.pairing.make import ABSENT, Row, our_row, write_rows
from tests.pairing.test_identity import assert_adds_up

SPECS = [*sorted(STRATEGIES.keys() - {"rip"}), "rip:max_gap=0.5,min_rejected_length=2", "all_above_gap:cap=99,eta=0.6"]


@st.composite
def inputs(draw: st.DrawFn) -> list[Row]:
    """Rows of a few prompts: any kind of reward and end, texts that repeat, several attempts at one rollout."""
    rewards = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, 1e308, -1e308, None, True, "0.5", float("nan"), ABSENT])
    texts = st.sampled_from(["", "yes", "yes ", "no", "maybe not", "maybe now", "x" * 50])
    ends = st.sampled_from(["stop", "stop", "length"])
    places = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=24))
    return [
        our_row(task, number, draw(rewards), draw(texts), finish_reason=draw(ends), level=draw(st.integers(0, 2)))
        | ({"_ng_failure_class": "timeout"} if draw(st.integers(0, 9)) == 0 else {})
        for task, number in places
    ]


def guards() -> st.SearchStrategy[Guards]:
    def maybe(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        return st.one_of(st.none(), values)

    share, ratio = st.sampled_from([0.0, 0.3, 0.6, 1.0]), st.sampled_from([0.5, 1.0, 2.0])
    return st.builds(
        Guards,
        where=maybe(st.sampled_from(["reward >= 0.3", "level != 1", "finish_reason == 'stop'", "len(answer()) > 2"])),
        failed=st.booleans(),
        empty_text=st.booleans(),
        truncated_chosen=st.booleans(),
        truncated_rejected=st.sampled_from(["allow", "drop", "only"]),
        min_chosen_reward=maybe(share),
        max_rejected_reward=maybe(share),
        require_members=maybe(st.integers(2, 4)),
        max_gap=maybe(share),
        gap_kind=st.sampled_from(["absolute", "zscore", "rank"]),
        identical_text=st.booleans(),
        repeated_pair=st.booleans(),
        min_length_ratio=maybe(st.just(0.5)),
        max_length_ratio=maybe(ratio),
        max_similarity=maybe(share),
        token_budget=maybe(st.integers(1, 12)),
        max_pairs=maybe(st.integers(1, 3)),
        max_pairs_per_response=maybe(st.integers(1, 2)),
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=inputs(), guards=guards(), spec=st.sampled_from(SPECS), gap=st.sampled_from([0.0, 0.15, 0.6]))
def test_every_group_is_accounted_for(tmp_path: Path, rows: list[Row], guards: Guards, spec: str, gap: float) -> None:
    """lines, rollouts, groups and picked pairs each equal what came on plus each reason; every reason has a meaning;
    the pairs by rule are the pairs."""
    chosen = PairSettings(strategy=spec, guards=guards, min_gap=gap, format="recipe")
    report = write_pairs([write_rows(tmp_path / "r.jsonl", *rows)], tmp_path / "p.jsonl", chosen, True)
    assert_adds_up(report)
    assert known(report)
    assert sum(report.picked_by.values()) == report.pairs
    assert report.pairs >= report.paired


def known(report: PairReport) -> bool:
    counted: list[Mapping[str, int]] = [report.line_drops, report.sample_drops, report.group_drops, report.pair_drops]
    return {reason for drops in counted for reason in drops} <= REASONS.keys()
