"""Identity over files: permuted, split, copied, compressed, named by a pattern, shared by workers; and groups by
position where a file carries no identity."""

from __future__ import annotations

import gzip
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.errors import InputError, PairmillError, UsageError
from pairing import PairReport, PairSettings, build_pairs, iter_groups
from pairing.build import write_pairs
from pairing.reading.compression import compress
from tests.pairing.make import Row, gym_row, lines_of, our_row, write_lines, write_rows
from tests.pairing.test_identity import REWARDS, assert_adds_up, samples

ATTEMPT = st.tuples(st.integers(0, 2), st.integers(0, 1), REWARDS, st.booleans())
"""Task, rollout, reward, whether it failed."""


@contextmanager
def here(folder: str) -> Iterator[Path]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield Path(folder)
    finally:
        os.chdir(before)


def packed(path: Path, kind: str) -> Path:
    """`path`, or a compressed file in its place."""
    if not kind:
        return path
    target = path.with_name(path.name + kind)
    with path.open("rb") as source:
        compress(source, target, kind)
    path.unlink()
    return target


@settings(max_examples=60, deadline=None)
@given(rows=samples(), data=st.data())
def test_no_pair_depends_on_lines_files_copies_packing_or_workers(rows: list[Row], data: st.DataObject) -> None:
    """The lines of both shapes in any order, some twice, cut into one to four files, each plain, .gz or .zst, named by
    one pattern or one by one; and the sealed file shared by two workers: always the same bytes."""
    lines = lines_of(sorted(rows, key=lambda row: (row["_ng_task_index"], row["_ng_rollout_index"])))
    shuffled = data.draw(st.permutations(lines + data.draw(st.lists(st.sampled_from(lines), max_size=5))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(shuffled)), max_size=3)))
    kinds = data.draw(st.lists(st.sampled_from(["", ".gz", ".zst"]), min_size=4, max_size=4))
    with tempfile.TemporaryDirectory() as folder, here(folder):
        sealed = write_lines(Path("sealed.jsonl"), lines)
        files = [
            packed(write_lines(Path(f"part{number}.jsonl"), shuffled[start:end]), kinds[number])
            for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(shuffled)], strict=True))
        ]
        wanted = build_pairs(sealed, "wanted.jsonl")
        given = data.draw(st.permutations(files)) if data.draw(st.booleans()) else [Path("part*")]
        got = build_pairs(given, "got.jsonl")
        with pytest.MonkeyPatch.context() as small:
            small.setattr("pairing.workers.SPAN", 1_000)
            if data.draw(st.integers(0, 4)) == 0:  # processes cost time
                build_pairs(sealed, "shared.jsonl", workers=2)
                assert Path("shared.jsonl").read_bytes() == Path("wanted.jsonl").read_bytes()
        assert Path("got.jsonl").read_bytes() == Path("wanted.jsonl").read_bytes()
    assert_adds_up(got)
    assert got.duplicates == len(shuffled) - len(lines)
    assert (got.groups, got.pairs, got.usable) == (wanted.groups, wanted.pairs, wanted.usable)


@settings(max_examples=80, deadline=None)
@given(
    attempts=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), REWARDS, st.booleans()), min_size=1, max_size=14)
)
def test_the_last_complete_attempt_stands_wherever_it_is(attempts: list[tuple[int, int, object, bool]]) -> None:
    """Resumed and partial runs: of several attempts at one rollout, over two files, the last with a usable reward that
    did not fail gives the pair; where there is none, the last."""
    rows = [
        our_row(task, rollout, reward, f"attempt {number}", **({"_ng_failure_class": "judge"} if failed else {}))
        for number, (task, rollout, reward, failed) in enumerate(attempts)
    ]
    standing: dict[tuple[int, int], Row] = {}
    for row in rows:
        key = row["_ng_task_index"], row["_ng_rollout_index"]
        if key not in standing or is_complete(row) or not is_complete(standing[key]):
            standing[key] = row
    with tempfile.TemporaryDirectory() as folder, here(folder):
        half = len(rows) // 2
        files = [write_rows(Path("one.jsonl"), *rows[:half]), write_rows(Path("two.jsonl"), *rows[half:])]
        got = build_pairs(files, "got.jsonl")
        build_pairs(write_rows(Path("only.jsonl"), *(standing[key] for key in sorted(standing))), "wanted.jsonl")
        assert Path("got.jsonl").read_bytes() == Path("wanted.jsonl").read_bytes()
    assert got.duplicates == len(rows) - len(standing)


def is_complete(row: Row) -> bool:
    reward = row.get("reward")
    return isinstance(reward, int | float) and not isinstance(reward, bool) and "_ng_failure_class" not in row


def pair_here(folder: Path, *inputs: str, output: str = "pairs.jsonl", **more: object) -> PairReport:
    with here(str(folder)):
        return write_pairs(inputs, Path(output), PairSettings(**more), True)  # type: ignore[arg-type]


def test_a_pattern_means_rollouts_alone(tmp_path: Path) -> None:
    """What a run keeps beside its rollouts, and what this command writes, is not read as input; incomplete groups are
    read where they belong, once."""
    write_rows(tmp_path / "rollouts.jsonl", our_row(0, 0, 1.0), our_row(0, 1, 0.0))
    write_rows(tmp_path / "rollouts_incomplete.jsonl", our_row(1, 0, 1.0), our_row(1, 1, 0.0))
    for name in (
        "rollouts_failures",
        "rollouts_decisions",
        "rollouts_limits",
        "rollouts.train",
        "rollouts.live",
        "rollouts-pairs",
    ):
        write_lines(tmp_path / f"{name}.jsonl", ["not read"])
    write_lines(tmp_path / "rollouts.run.json", ["{}"])
    write_rows(tmp_path / "rollouts2.jsonl", our_row(2, 0, 1.0), our_row(2, 1, 0.0))
    (tmp_path / "rollouts-pairs.jsonl").unlink()
    for name in ("rollouts.train", "rollouts.live"):
        (tmp_path / f"{name}.jsonl").unlink()
    first = pair_here(tmp_path, "rollouts*", output="rollouts-pairs.jsonl")
    again = pair_here(tmp_path, "rollouts*", output="rollouts-pairs.jsonl", card=True)
    once_more = pair_here(tmp_path, "*", output="rollouts-pairs.jsonl", card=True)
    assert [(report.lines, report.pairs, report.broken) for report in (first, again, once_more)] == [(6, 3, 0)] * 3


def test_a_pattern_that_matches_nothing_is_one_line(tmp_path: Path) -> None:
    """It is named as it was given; one that matches what is no rollouts file alone says that."""
    with pytest.raises(InputError, match=r"^gone\*\.jsonl: no such file \(--input\)$"):
        pair_here(tmp_path, "gone*.jsonl")
    write_lines(tmp_path / "pairs.jsonl", ["{}"])
    with pytest.raises(InputError, match=r"^pairs\*\.jsonl: matches no rollouts file \(--input\)$"):
        pair_here(tmp_path, "pairs*.jsonl")
    with pytest.raises(PairmillError, match=r"pairs\.jsonl is one of the inputs: give another --output"):
        pair_here(tmp_path, "pairs.jsonl")


def test_a_file_with_the_name_of_a_pattern_is_itself(tmp_path: Path) -> None:
    """Brackets in a name are no pattern when such a file exists."""
    write_rows(tmp_path / "run[1].jsonl", our_row(0, 0, 1.0), our_row(0, 1, 0.0))
    write_rows(tmp_path / "run1.jsonl", our_row(5, 0, 1.0))
    assert pair_here(tmp_path, "run[1].jsonl").lines == 2
    (tmp_path / "run[1].jsonl").unlink()
    assert pair_here(tmp_path, "run[1].jsonl").lines == 1


def nameless(prompt: str, reward: object, text: str | None = None) -> Row:
    return gym_row(None, None, reward, text or f"answer {reward}", prompt_text=prompt)


def test_positions_group_what_has_no_identity(tmp_path: Path) -> None:
    """Two blocks of one prompt stay two groups, where grouping by content would make them one; a row that is broken or
    no answer keeps its place."""
    rows = [nameless("A", 1.0, "a"), nameless("A", 0.0, "b"), nameless("A", 0.5, "c"), nameless("A", 0.5, "d")]
    source = write_rows(tmp_path / "r.jsonl", *rows)
    assert [len(group.rollouts) for group in iter_groups(source)] == [4]
    assert pair_here(tmp_path, "r.jsonl", group_size=2).group_drops == {"all_equal": 1}
    lines = lines_of(rows)
    write_lines(tmp_path / "r.jsonl", ["\ufeff" + lines[0], "", lines[1], "{torn", lines[3]])
    report = pair_here(tmp_path, "r.jsonl", group_size=2)
    assert (report.groups, report.pairs, report.broken) == (2, 1, 1)
    assert report.broken_shown == ("r.jsonl:4: not JSON: Expecting property name enclosed in double quotes: line 1"
                                   " column 2 (char 1)",)  # fmt: skip
    assert_adds_up(report)


@pytest.mark.parametrize("kind", ["", ".gz", ".zst"])
def test_a_block_of_two_prompts_is_named(tmp_path: Path, kind: str) -> None:
    """The file and the line where the prompt changes inside a block: positions cannot be right."""
    rows = [nameless("A", 1.0), nameless("A", 0.0), nameless("A", 0.0), nameless("B", 0.0)]
    packed(write_rows(tmp_path / "r.jsonl", *rows), kind)
    with pytest.raises(InputError, match=rf"^r\.jsonl{kind}:4: has another prompt than line 3, and 2 rows"):
        pair_here(tmp_path, f"r.jsonl{kind}", group_size=2)
    assert not (tmp_path / "pairs.jsonl").exists()


def test_a_last_group_that_is_short_is_named(tmp_path: Path) -> None:
    """A file that is no multiple of the size was not made with it, or has lost a row."""
    write_rows(tmp_path / "r.jsonl", *(nameless("A", float(n)) for n in range(5)))
    with pytest.raises(InputError, match=r"^r\.jsonl:4: the last group has 2 rows of 3: give the --group-size"):
        pair_here(tmp_path, "r.jsonl", group_size=3)


@pytest.mark.parametrize("field", [{"_ng_task_index": 0}, {"_ng_rollout_index": 0}, {"prompt_id": "mine"}])
def test_rows_that_say_who_they_are_are_refused(tmp_path: Path, field: Row) -> None:
    """A single row with an index or an id is enough: its line is named."""
    write_rows(tmp_path / "r.jsonl", nameless("A", 1.0), nameless("A", 0.0) | field)
    name = next(iter(field))
    with pytest.raises(InputError, match=rf"^r\.jsonl:2: carries {name}: .*: leave out --group-size$"):
        pair_here(tmp_path, "r.jsonl", group_size=2)


def test_blocks_do_not_reach_over_files(tmp_path: Path) -> None:
    """Each file begins with a group of its own."""
    write_rows(tmp_path / "a1.jsonl", nameless("A", 1.0), nameless("A", 0.0))
    write_rows(tmp_path / "a2.jsonl", nameless("B", 1.0), nameless("B", 0.0), nameless("C", 1.0))
    assert pair_here(tmp_path, "a1.jsonl", "a1.jsonl", group_size=2).pairs == 1
    with pytest.raises(InputError, match=r"^a2\.jsonl:3: the last group has 1 rows of 2"):
        pair_here(tmp_path, "a*.jsonl", group_size=2)


def test_a_group_of_one_is_refused() -> None:
    """A pair needs two."""
    with pytest.raises(UsageError, match="--group-size 1: a pair needs two rollouts of a prompt: give 2 or more"):
        PairSettings(group_size=1)


def test_rows_without_a_prompt_make_no_group(tmp_path: Path) -> None:
    """They are counted, and hold nothing that positions could be checked by."""
    rows = [{"output": "a", "reward": 1.0}, {"output": "b", "reward": 0.0}]
    write_rows(tmp_path / "r.jsonl", *rows)
    report = pair_here(tmp_path, "r.jsonl", group_size=2)
    assert (report.line_drops, report.groups) == ({"no_prompt": 2}, 0)


def test_a_broken_packed_file_is_one_line(tmp_path: Path) -> None:
    """Positions are read through the same door as all else."""
    (tmp_path / "r.jsonl.gz").write_bytes(gzip.compress(b"{}\n" * 50)[:-9])
    with pytest.raises(InputError, match="is cut off"):
        pair_here(tmp_path, "r.jsonl.gz", group_size=2)
