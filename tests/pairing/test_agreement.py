"""Every way to look at a policy tells of the same pairs: pair, compare, explain, and pair on shuffled lines."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pairing import Guards
from pairing.build import write_pairs
from pairing.formats import FORMATS
from pairing.outcomes import pair_group
from pairing.reading.groups import iter_groups
from pairing.reports.compare import compared
from pairing.reports.explain import explanation
from pairing.settings import PairSettings
from tests.pairing.make import Row, write_rows
from tests.pairing.test_funnel_sums import SPECS, guards, inputs

ANY_FORMAT = st.sampled_from(sorted(FORMATS.keys() - {"verl"}))
"""As JSON lines."""


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=inputs(), guards=guards(), spec=st.sampled_from(SPECS), name=ANY_FORMAT)
def test_compare_and_explain_tell_what_pair_does(
    tmp_path: Path, rows: list[Row], guards: Guards, spec: str, name: str
) -> None:
    """The same pairs, and for each prompt without one the reason that the funnel counts."""
    source = write_rows(tmp_path / "r.jsonl", *rows)
    chosen = PairSettings(strategy=spec, guards=guards, format=name)
    report = write_pairs([source], tmp_path / "p.jsonl", chosen, True)
    policy = chosen.policy()
    (column,) = compared(iter_groups(source), {spec: policy}, policy)
    assert (len(column.gaps), column.paired, column.prompts) == (report.pairs, report.paired, report.groups)
    outcomes = [pair_group(group, policy) for group in iter_groups(source)]
    assert Counter(found.reason for found in outcomes if found.reason) == Counter(report.group_drops)
    for found in outcomes:
        text = "\n".join(explanation(found.group, policy, 100))
        assert text.count(": a pair") == len(found.kept)
        assert f"no pair: {found.reason} (" in text or found.reason is None


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=inputs(), guards=guards(), spec=st.sampled_from(SPECS), name=ANY_FORMAT, random=st.randoms())
def test_the_order_of_lines_changes_no_byte(
    tmp_path: Path, rows: list[Row], guards: Guards, spec: str, name: str, random: Random
) -> None:
    """Under any policy and format, where no two lines are attempts at one rollout."""
    single = list({(row["_ng_task_index"], row["_ng_rollout_index"]): row for row in rows}.values())
    chosen = PairSettings(strategy=spec, guards=guards, format=name)
    made = []
    for _ in range(2):
        source = write_rows(tmp_path / "r.jsonl", *single)
        report = write_pairs([source], tmp_path / "p.jsonl", chosen, True)
        made.append((tmp_path / "p.jsonl").read_bytes() if report.written else b"")
        random.shuffle(single)
    assert made[0] == made[1]
