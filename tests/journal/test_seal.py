"""The sealed file: aabbcc order, whole groups, one row per key; the rest beside it with its reason."""

from __future__ import annotations

import random
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import OutputError, StreamError
from collector.journal import StreamPaths
from collector.journal.incomplete import mark, missing_reason, unmark
from collector.journal.seal import seal
from tests.journal.helpers import FaultyDisk, keys_of, row


def _aabbcc(tasks: int, repeats: int) -> list[bytes]:
    return [row(task, rollout) for task in range(tasks) for rollout in range(repeats)]


@pytest.mark.parametrize("repeats", [1, 2, 5])
def test_rows_stand_in_aabbcc_order_byte_for_byte(paths: StreamPaths, repeats: int) -> None:
    """Whatever order they completed in, over several index pages."""
    lines = _aabbcc(600, repeats)
    paths.rollouts.write_bytes(b"".join(random.Random(1).sample(lines, len(lines))))
    result = seal(paths, repeats, 601)
    assert paths.rollouts.read_bytes() == b"".join(lines)
    assert (result.rows, result.groups, result.missing_groups) == (600 * repeats, 600, 1)
    assert (result.incomplete_rows, result.incomplete_groups, result.duplicates) == (0, 0, 0)
    assert not paths.incomplete.exists()


def test_groups_that_lack_a_member_stand_beside_with_the_reason(paths: StreamPaths) -> None:
    """Good rows are kept, in order, and say which rollouts are missing; all else of them is as it was."""
    paths.rollouts.write_bytes(row(2, 2) + row(1, 1) + row(1, 0) + row(2, 0) + row(1, 2) + row(0, 1))
    result = seal(paths, 3)
    assert keys_of(paths.rollouts) == [(1, 0), (1, 1), (1, 2)]
    lines = paths.incomplete.read_bytes().splitlines()
    assert [orjson.loads(line)["_incomplete"] for line in lines] == [
        "2 of 3 rollouts missing: 0, 2",
        "1 of 3 rollouts missing: 1",
        "1 of 3 rollouts missing: 1",
    ]
    assert [unmark(line) + b"\n" for line in lines] == [row(0, 1), row(2, 0), row(2, 2)]
    assert (result.rows, result.incomplete_rows, result.incomplete_groups) == (3, 3, 2)


def test_the_first_row_of_a_key_wins(paths: StreamPaths) -> None:
    """It was acknowledged first; later ones are dropped and counted."""
    paths.rollouts.write_bytes(row(0, 1, "first") + row(0, 0) + row(0, 1, "second") + row(0, 1, "third"))
    assert seal(paths, 2).duplicates == 2
    assert paths.rollouts.read_bytes() == row(0, 0) + row(0, 1, "first")


def test_sealing_again_changes_nothing(paths: StreamPaths) -> None:
    """A sealed file and its side file stay, the very same ones, and are counted the same."""
    paths.rollouts.write_bytes(row(1, 0) + row(0, 1) + row(0, 0))
    first = seal(paths, 2, 3)
    before = [(path.stat().st_ino, path.read_bytes()) for path in (paths.rollouts, paths.incomplete)]
    again = seal(paths, 2, 3)
    assert [(path.stat().st_ino, path.read_bytes()) for path in (paths.rollouts, paths.incomplete)] == before
    assert first.rewritten
    assert not again.rewritten
    assert (again.rows, again.incomplete_rows, again.incomplete_groups, again.missing_groups) == (2, 1, 1, 1)


def test_a_side_file_from_before_loses_no_row(paths: StreamPaths) -> None:
    """Rows that stand only beside the journal complete the groups that the journal's new rows began."""
    paths.rollouts.write_bytes(row(0, 0) + row(1, 0))
    seal(paths, 2)
    paths.rollouts.write_bytes(row(1, 1))
    result = seal(paths, 2)
    assert keys_of(paths.rollouts) == [(1, 0), (1, 1)]
    assert [unmark(line) for line in paths.incomplete.read_bytes().splitlines()] == [row(0, 0)[:-1]]
    assert (result.rows, result.incomplete_rows) == (2, 1)


def test_tasks_may_differ_in_their_number_of_repeats(paths: StreamPaths) -> None:
    """`repeats_of` says when a group is whole; a row past a task's number is no row of this run."""
    paths.rollouts.write_bytes(row(1, 2) + row(1, 1) + row(0, 0) + row(1, 0) + row(2, 0))
    seal(paths, 3, repeats_of=lambda task: (1, 3, 2)[task])
    assert keys_of(paths.rollouts) == [(0, 0), (1, 0), (1, 1), (1, 2)]
    assert keys_of(paths.incomplete) == [(2, 0)]
    with pytest.raises(StreamError, match="damaged at byte .*task 1 has 2 repeats"):
        seal(paths, 3, repeats_of=lambda task: 2 if task else 1)


def test_tasks_may_lie_far_apart(paths: StreamPaths) -> None:
    """A shard's tasks begin anywhere; what lies between costs neither memory nor time."""
    far = 10**9
    paths.rollouts.write_bytes(row(far, 1) + row(5, 0) + row(far, 0) + row(5, 1))
    seal(paths, 2)
    assert keys_of(paths.rollouts) == [(5, 0), (5, 1), (far, 0), (far, 1)]


def test_rows_larger_than_the_copy_buffer(paths: StreamPaths) -> None:
    """A row of several megabytes is copied whole."""
    lines = [row(0, 0, "x" * 3_000_000), row(0, 1, "y" * 10), row(1, 0, "z" * 2_000_000)]
    paths.rollouts.write_bytes(b"".join(reversed(lines)))
    seal(paths, 2)
    assert paths.rollouts.read_bytes() == lines[0] + lines[1]
    assert unmark(paths.incomplete.read_bytes()[:-1]) + b"\n" == lines[2]


def test_damage_leaves_the_journal_as_it_was(paths: StreamPaths) -> None:
    """No half-sealed file, no scratch left behind."""
    content = row(0, 1) + b"junk\n" + row(0, 0)
    paths.rollouts.write_bytes(content)
    with pytest.raises(StreamError, match=f"damaged at byte {len(row(0, 1))}"):
        seal(paths, 2)
    assert paths.rollouts.read_bytes() == content
    assert list(paths.rollouts.parent.iterdir()) == [paths.rollouts]


def test_a_full_disk_leaves_the_journal_as_it_was(paths: StreamPaths) -> None:
    """The new file needs room that may not be there; the old one is intact until the new one is durable."""
    content = row(0, 1) + row(0, 0)
    paths.rollouts.write_bytes(content)
    with pytest.raises(OutputError, match=r"rollouts\.jsonl: .*the rows are safe"):
        seal(paths, 2, disk=FaultyDisk(1, only="write"))
    assert paths.rollouts.read_bytes() == content
    assert list(paths.rollouts.parent.iterdir()) == [paths.rollouts]


_Json = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3) | st.just("_incomplete"), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.text(max_size=4) | st.just("_incomplete"), _Json, min_size=1), st.integers(1, 40))
def test_a_mark_comes_off_as_it_went_on(fields: dict[str, object], missing: int) -> None:
    """Any row, even one with a field of that name, is the same bytes afterwards; marked, it is JSON with the reason."""
    line = orjson.dumps(fields)
    marked = mark(line, missing_reason(range(missing), 64))
    assert unmark(marked) == line
    assert orjson.loads(marked)["_incomplete"].startswith(f"{missing} of 64 rollouts missing: 0")


def test_a_journal_on_another_folder_is_sealed_there(tmp_path: Path) -> None:
    """Scratch files are made beside the output, so that putting them in place is one rename."""
    paths = StreamPaths.for_output(tmp_path / "deep" / "night.jsonl")
    paths.rollouts.parent.mkdir()
    paths.rollouts.write_bytes(row(0, 0))
    seal(paths, 1)
    assert [path.name for path in paths.rollouts.parent.iterdir()] == ["night.jsonl"]
