"""KTO's order: rows of one prompt are never neighbours, with few rows in memory, and always the same."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairing import build_pairs
from pairing.build import pair_all
from pairing.checking import check_file
from pairing.formats import get_format
from pairing.output.interleave import Interleaver
from pairing.output.writer import PairWriter
from pairing.reading.groups import groups_by_index
from pairing.reports.funnel import Tally
from pairing.settings import PairSettings
from tests.pairing.make import our_row, read_rows, write_rows
from tests.pairing.make_pairs import asked, tool_turns, user


def ordered(prompts: list[str], waiting: int) -> tuple[list[str], int]:
    """The order in which rows of these prompts leave, and how many follow one of their own."""
    order: Interleaver[str] = Interleaver(waiting)
    gone = [row for prompt in prompts for row in order.add(prompt, prompt)]
    return [*gone, *order.rest()], order.neighbours


@given(st.lists(st.sampled_from("abcdef"), max_size=60), st.integers(0, 8))
def test_no_row_is_lost_and_neighbours_are_counted(prompts: list[str], waiting: int) -> None:
    """Any sequence comes out whole; the count of neighbours is what it says."""
    out, neighbours = ordered(prompts, waiting)
    assert Counter(out) == Counter(prompts)
    assert sum(one == other for one, other in pairwise(out)) == neighbours


@given(st.lists(st.integers(1, 4), min_size=2, max_size=40))
def test_pairs_of_several_prompts_are_never_neighbours(pairs_of: list[int]) -> None:
    """Prompts come one after the other with 2 to 8 rows each, none with more than the others together."""
    if max(pairs_of) > sum(pairs_of) - max(pairs_of):
        return
    prompts = [str(prompt) for prompt, pairs in enumerate(pairs_of) for _ in range(2 * pairs)]
    assert ordered(prompts, 64)[1] == 0


def test_memory_is_bounded() -> None:
    """However many rows go in, no more than the limit wait."""
    order: Interleaver[int] = Interleaver(10)
    gone = sum(1 for row in range(1000) for _ in order.add(str(row // 2), row))
    assert gone == 990


def test_the_file_has_no_neighbours(tmp_path: Path) -> None:
    """Two rows a pair, one of each label, and the check agrees."""
    rows = [our_row(task, n, float(n), f"Answer {n} to {task}.") for task in range(100) for n in (0, 1)]
    report = build_pairs(write_rows(tmp_path / "r.jsonl", *rows), tmp_path / "p.jsonl", format="trl-kto")
    found = read_rows(tmp_path / "p.jsonl")
    assert (report.pairs, report.rows) == (100, (200,))
    assert Counter(row["label"] for row in found) == {True: 100, False: 100}
    assert all(one["prompt"] != other["prompt"] for one, other in pairwise(found))
    assert all((row["meta"]["reward"] == 1.0) is row["label"] for row in found)
    assert dict(check_file(tmp_path / "p.jsonl").counts) == {}


def test_a_late_column_keeps_them_apart(tmp_path: Path) -> None:
    """The row that brings a column late goes to the front; those around its place do not meet."""
    rows = [our_row(task, n, float(n), f"Answer {n} to {task}.") for task in range(90) for n in (0, 1)]
    rows += asked(user("tools"), task=200)(tool_turns(1, "Two, it says."), "Three.")
    source = write_rows(tmp_path / "r.jsonl", *rows)
    with PairWriter(tmp_path / "p.jsonl", get_format("trl-kto"), first_batch=100) as writer:
        tally = Tally()
        pair_all(groups_by_index([source], tally.read), PairSettings(format="trl-kto").policy(), tally, writer)
        writer.commit()
    found = read_rows(tmp_path / "p.jsonl")
    assert len(found) == 182
    assert found[0]["completion"][0]["tool_calls"]
    assert all(one["prompt"] != other["prompt"] for one, other in pairwise(found))


@pytest.mark.parametrize("prompts", [1, 2])
def test_so_few_prompts_that_they_must_meet(tmp_path: Path, prompts: int) -> None:
    """One prompt alone has no other to stand between; two already do."""
    rows = [our_row(task, n, float(n), f"Answer {n} to {task}.") for task in range(prompts) for n in (0, 1)]
    build_pairs(write_rows(tmp_path / "r.jsonl", *rows), tmp_path / "p.jsonl", format="trl-kto")
    assert check_file(tmp_path / "p.jsonl").counts["neighbours"] == (prompts == 1)
