"""`pairmill stats` by identity: the order of lines and their split over files change no number."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from pairing.settings import PairSettings
from pairing.stats.figures import as_json
from pairing.stats.gather import Asked, StatsReport, gather
from pairing.stats.render import render_stats
from tests.pairing.make import lines_of, our_row, write_lines

REWARDS = st.sampled_from([0.0, 0.1, 0.3, 0.5, 1.0])
GROUPS = st.lists(st.lists(st.tuples(REWARDS, st.text("ab \n", max_size=6)), min_size=1, max_size=4), max_size=6)


def stats_of(files: list[Path]) -> StatsReport:
    return gather(files, PairSettings(), Asked())


@settings(max_examples=40, deadline=None)
@given(GROUPS, st.integers(0, 99), st.integers(1, 3))
def test_order_and_split_change_nothing(groups: list[list[tuple[float, str]]], seed: int, parts: int) -> None:
    """Shuffled and dealt over several files, read in two passes or one: the same JSON and the same text."""
    rows = [our_row(t, n, r, text=text) for t, group in enumerate(groups) for n, (r, text) in enumerate(group)]
    lines = lines_of(rows)
    shuffled = lines.copy()
    random.Random(seed).shuffle(shuffled)
    with TemporaryDirectory() as folder:
        sealed = stats_of([write_lines(Path(folder) / "sealed.jsonl", lines)])
        files = [write_lines(Path(folder) / f"{n}.jsonl", shuffled[n::parts]) for n in range(parts)]
        dealt = stats_of(files)
    assert as_json(dealt) == as_json(sealed)
    assert render_stats(dealt) == render_stats(sealed)


@settings(max_examples=40, deadline=None)
@given(GROUPS)
def test_the_numbers_add_up(groups: list[list[tuple[float, str]]]) -> None:
    """Every judged answer stands in the histogram of rewards, every pair in that of gaps, every prompt in pass@1."""
    rows = [our_row(t, n, r, text=text) for t, group in enumerate(groups) for n, (r, text) in enumerate(group)]
    with TemporaryDirectory() as folder:
        found = as_json(stats_of([write_lines(Path(folder) / "r.jsonl", lines_of(rows))]))
    assert sum(count for _, _, count in found["rewards"]["bars"]) == found["rewards"]["count"] == len(rows)
    assert sum(count for _, _, count in found["gaps"]["bars"]) == found["pairs"]
    assert sum(found["finish_reasons"].values()) == found["rollouts"]
    assert found["saturated"]["count"] + found["hopeless"]["count"] <= found["judged_prompts"]
    if groups:
        assert found["pass_at"]["1"]["prompts"] == len(groups)
        shares = [at["value"] for at in found["pass_at"].values() if at["prompts"] == len(groups)]
        assert shares == sorted(shares)
