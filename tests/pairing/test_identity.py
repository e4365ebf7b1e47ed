"""Groups are made by identity: line order, files and duplicates change nothing, and two prompts never meet."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.errors import InputError, UsageError
from pairing import PairReport, build_pairs, iter_groups
from tests.pairing.make import ABSENT, Row, gym_row, lines_of, our_row, write_lines, write_rows

REWARDS = st.sampled_from([0, 0.0, 0.1, 0.15, 0.3, 1, 1.0, ABSENT, None, True, "0.5", [1]])
TEXTS = st.sampled_from(["a", "b", "same", "", "  ", "é 漢", '"quoted"\n'])
SPAN = st.integers(0, 5)


@st.composite
def samples(draw: st.DrawFn) -> list[Row]:
    """Rows of a few prompts, each task and rollout index once; ours and NeMo Gym's, some marked as failed or cut."""
    rows: list[Row] = []
    for task in draw(st.lists(SPAN, unique=True, min_size=1, max_size=5)):
        make = draw(st.sampled_from([our_row, gym_row]))
        for rollout in draw(st.lists(SPAN, unique=True, min_size=1, max_size=5)):
            row = make(task, rollout, draw(REWARDS), draw(TEXTS))
            if draw(st.integers(0, 5)) == 0:
                row["_ng_failure_class"] = "judge_failed"
            if draw(st.integers(0, 3)) == 0:
                row["finish_reason"] = "length"
            rows.append(row)
    return rows


def assert_adds_up(report: PairReport) -> None:
    """The funnel's four sums."""
    assert report.lines == report.broken + sum(report.line_drops.values()) + report.rollouts
    assert report.rollouts == report.duplicates + sum(report.sample_drops.values()) + report.usable
    assert report.groups == report.paired + sum(report.group_drops.values())
    assert report.picked == report.pairs + sum(report.pair_drops.values())


def without_copies(report: PairReport) -> PairReport:
    """The report without what copies of lines may change: the counts of lines and duplicates, and the passes."""
    return replace(report, lines=0, rollouts=0, duplicates=0, passes=0, output=Path(), outputs=())


@settings(max_examples=120, deadline=None)
@given(rows=samples(), data=st.data(), format=st.sampled_from(["trl", "recipe"]))
def test_order_files_and_copies_change_no_pair(rows: list[Row], data: st.DataObject, format: str) -> None:
    """Permuting the lines, splitting them over files and repeating some changes no byte of the pairs and no count of
    the funnel but that of the duplicates."""
    lines = lines_of(sorted(rows, key=lambda row: (row["_ng_task_index"], row["_ng_rollout_index"])))
    copies = data.draw(st.lists(st.sampled_from(lines), max_size=6)) if lines else []
    shuffled = data.draw(st.permutations(lines + copies))
    cut = data.draw(st.integers(0, len(shuffled)))
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        sealed = write_lines(here / "sealed.jsonl", lines)
        first = write_lines(here / "one.jsonl", shuffled[:cut])
        second = write_lines(here / "two.jsonl", shuffled[cut:])
        wanted = build_pairs(sealed, here / "wanted.jsonl", format=format)
        got = build_pairs([first, second], here / "got.jsonl", format=format)
        assert (here / "got.jsonl").read_bytes() == (here / "wanted.jsonl").read_bytes()
    assert_adds_up(wanted)
    assert_adds_up(got)
    assert wanted.passes == 1
    assert got.duplicates == len(copies)
    assert without_copies(got) == without_copies(wanted)


def test_reads_in_one_pass_only_what_stands_in_task_order(tmp_path: Path) -> None:
    """Input in task order is read once, other input twice, with the same pairs."""
    rows = [our_row(task, rollout, rollout / 2) for task in range(4) for rollout in range(3)]
    one = build_pairs(write_rows(tmp_path / "a.jsonl", *rows), tmp_path / "a.out")
    two = build_pairs(write_rows(tmp_path / "b.jsonl", *reversed(rows)), tmp_path / "b.out")
    assert (one.passes, two.passes) == (1, 2)
    assert (tmp_path / "a.out").read_bytes() == (tmp_path / "b.out").read_bytes()


def test_a_task_index_with_two_prompts_is_two_groups(tmp_path: Path) -> None:
    """NeMo Gym's environments may deal another prompt to each repeat: those are never paired with each other."""
    rows = [gym_row(0, n, float(n), f"text {n}", prompt_text=f"hand {n % 2}") for n in range(4)]
    groups = list(iter_groups(write_rows(tmp_path / "r.jsonl", *rows)))
    assert sorted(tuple(r.rollout_index for r in group.rollouts) for group in groups) == [(0, 2), (1, 3)]
    assert {group.task_index for group in groups} == {0}


def test_the_same_prompt_twice_in_the_input_is_two_groups(tmp_path: Path) -> None:
    """Two tasks with the same prompt keep their rollouts apart, as their indices would collide."""
    rows = [our_row(task, n, float(n), prompt_text="same") for task in (0, 1) for n in (0, 1)]
    groups = list(iter_groups(write_rows(tmp_path / "r.jsonl", *rows)))
    assert [(group.task_index, len(group.rollouts)) for group in groups] == [(0, 2), (1, 2)]


def test_rows_without_indices_group_by_content(tmp_path: Path) -> None:
    """Without indices the prompt's content is the identity, in whichever form it is written; groups come by first
    appearance and rollouts are numbered in order of appearance."""
    chat = {"messages": [{"role": "user", "content": "B"}], "output": [{"role": "assistant", "content": "3"}]}
    rows = [gym_row(None, None, 1.0, "1", prompt_text="B"), gym_row(None, None, 0.0, "2", prompt_text="A"), chat]
    groups = list(iter_groups(write_rows(tmp_path / "r.jsonl", *rows)))
    assert [[(r.rollout_index, r.reward) for r in g.rollouts] for g in groups] == [[(0, 1.0), (1, None)], [(0, 0.0)]]


def test_tools_are_part_of_the_prompt(tmp_path: Path) -> None:
    """The same question with other tools is another prompt, wherever the row keeps its tools."""
    chat = {"messages": [{"role": "user", "content": "Q"}], "output": "a", "reward": 1.0}
    rows: list[Row] = [chat | {"tools": [{"name": name}]} for name in ("f", "g", "f")]
    rows += [gym_row(None, None, prompt_text="Q")]
    rows[-1]["responses_create_params"]["tools"] = [{"name": "g"}]
    groups = list(iter_groups(write_rows(tmp_path / "r.jsonl", *rows)))
    assert [len(group.rollouts) for group in groups] == [2, 2]


def test_groups_with_a_task_index_come_before_those_without(tmp_path: Path) -> None:
    """Order: by task index, then first appearance."""
    rows = [gym_row(None, None, prompt_text="x"), our_row(2, 0), our_row(1, 0)]
    assert [g.task_index for g in iter_groups(write_rows(tmp_path / "r.jsonl", *rows))] == [1, 2, None]


def test_the_last_complete_attempt_wins(tmp_path: Path) -> None:
    """Of two rows with the same index the later stands, unless it failed or has no reward."""
    rows = [
        our_row(0, 0, 0.1, "early"),
        our_row(0, 0, 0.2, "late"),
        our_row(0, 0, 0.9, "judge down", _ng_failure_class="judge_failed"),
        our_row(0, 0, ABSENT, "unscored"),
    ]
    (group,) = iter_groups(write_rows(tmp_path / "r.jsonl", *rows))
    assert [rollout.reward for rollout in group.rollouts] == [0.2]
    assert group.duplicates == 3


def test_the_file_of_incomplete_groups_is_read_too(tmp_path: Path) -> None:
    """rollouts_incomplete.jsonl beside the input adds its groups in their place; where both hold a row the sealed
    file's wins; the reader can be told to leave it."""
    source = write_rows(tmp_path / "rollouts.jsonl", *(our_row(t, n, float(n)) for t in (0, 2) for n in (0, 1)))
    write_rows(tmp_path / "rollouts_incomplete.jsonl", our_row(1, 0, 1.0), our_row(1, 3, 0.0), our_row(2, 1, 5.0))
    report = build_pairs(source, tmp_path / "pairs.jsonl")
    assert (report.pairs, report.passes, report.duplicates, report.gaps.maximum) == (3, 1, 1, 1.0)
    assert [group.task_index for group in iter_groups(source)] == [0, 1, 2]
    assert [group.task_index for group in iter_groups(source, include_incomplete=False)] == [0, 2]


def test_an_input_given_twice_is_read_once(tmp_path: Path) -> None:
    """The same file under two names gives no duplicates."""
    source = write_rows(tmp_path / "r.jsonl", gym_row(None, None, 0.0), gym_row(None, None, 1.0))
    (tmp_path / "link.jsonl").symlink_to(source)
    report = build_pairs([source, tmp_path / "link.jsonl", source], tmp_path / "pairs.jsonl")
    assert (report.lines, report.duplicates) == (2, 0)


def test_missing_inputs_are_named(tmp_path: Path) -> None:
    """No input is a usage error, a path that is no file an input error with its name."""
    with pytest.raises(UsageError, match="--input: give at least one"):
        iter_groups([])
    with pytest.raises(InputError, match=r"gone\.jsonl: no such file"):
        iter_groups(tmp_path / "gone.jsonl")
    with pytest.raises(InputError, match="is a folder: give a file in it"):
        build_pairs(tmp_path, tmp_path / "pairs.jsonl")


def test_a_file_replaced_between_the_passes_is_noticed(tmp_path: Path) -> None:
    """A file cut after it was indexed ends with an error, never with rows of something else."""
    source = write_rows(tmp_path / "r.jsonl", our_row(1, 0), our_row(0, 0))
    groups = iter_groups(source)
    next(groups)
    source.write_text("")
    with pytest.raises(InputError, match="changed while it was read"):
        next(groups)
