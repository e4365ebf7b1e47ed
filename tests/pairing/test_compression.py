"""Compressed files: read and written by their names, in one pass or two; broken ones are one clear line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from collector.errors import InputError
from pairing import build_pairs
from pairing.output.split import split_paths
from pairing.reading.compression import compress, opened
from tests.pairing.make import lines_of, our_row, write_lines, write_rows

ROWS = [our_row(task, n, n / 2, f"text {n} " * 200) for task in range(30) for n in range(3)]


def packed(source: Path, kind: str) -> Path:
    target = source.with_name(source.name + kind)
    with source.open("rb") as file:
        compress(file, target, kind)
    return target


@pytest.mark.parametrize("kind", [".gz", ".zst"])
@pytest.mark.parametrize("order", [1, -1])
def test_a_compressed_input_gives_the_same_pairs(tmp_path: Path, kind: str, order: int) -> None:
    """In task order and in none; the file of incomplete groups beside it is found compressed or not."""
    source = write_rows(tmp_path / "r.jsonl", *ROWS[:-3][::order])
    write_rows(tmp_path / "r_incomplete.jsonl", *ROWS[-3:])
    plain = build_pairs(source, tmp_path / "plain.jsonl")
    packed(source, kind)
    source.unlink()
    got = build_pairs(tmp_path / f"r.jsonl{kind}", tmp_path / "got.jsonl")
    assert (tmp_path / "got.jsonl").read_bytes() == (tmp_path / "plain.jsonl").read_bytes()
    assert (got.pairs, got.passes, got.lines) == (30, plain.passes, plain.lines)
    packed(tmp_path / "r_incomplete.jsonl", kind)
    (tmp_path / "r_incomplete.jsonl").unlink()
    assert build_pairs(tmp_path / f"r.jsonl{kind}", tmp_path / "again.jsonl").pairs == 30


@pytest.mark.parametrize("kind", [".gz", ".zst"])
def test_a_compressed_output_unpacks_to_the_plain_one(tmp_path: Path, kind: str) -> None:
    """The name decides; the same input gives the same bytes; nothing else is left behind."""
    source = write_rows(tmp_path / "r.jsonl", *ROWS)
    build_pairs(source, tmp_path / "pairs.jsonl")
    for name in ("a", "b"):
        build_pairs(source, tmp_path / f"{name}.jsonl{kind}")
    with opened(tmp_path / f"a.jsonl{kind}") as file:
        assert file.read() == (tmp_path / "pairs.jsonl").read_bytes()
    assert (tmp_path / f"a.jsonl{kind}").read_bytes() == (tmp_path / f"b.jsonl{kind}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 4
    assert [path.name for path in split_paths(tmp_path / f"p.jsonl{kind}")] == [
        f"p.train.jsonl{kind}",
        f"p.validation.jsonl{kind}",
    ]


def test_members_one_after_another_are_one_file(tmp_path: Path) -> None:
    """What `cat a.gz b.gz` gives is read to its end."""
    lines = lines_of(ROWS)
    halves = [gzip.compress("".join(f"{line}\n" for line in part).encode()) for part in (lines[:45], lines[45:])]
    (tmp_path / "r.jsonl.gz").write_bytes(b"".join(halves))
    assert build_pairs(tmp_path / "r.jsonl.gz", tmp_path / "pairs.jsonl").lines == 90


@pytest.mark.parametrize("kind", [".gz", ".zst"])
def test_a_broken_file_is_one_line(tmp_path: Path, kind: str) -> None:
    """Cut off, no compressed file at all, damaged in the middle: named, with nothing written."""
    source = packed(write_lines(tmp_path / "r.jsonl", lines_of(ROWS)), kind)
    (tmp_path / "r.jsonl").unlink()
    whole = source.read_bytes()
    middle = len(whole) // 2
    for broken in (whole[:-9], b"not compressed at all", whole[:middle] + bytes(64) + whole[middle + 64 :]):
        source.write_bytes(broken)
        with pytest.raises(InputError, match=rf"r\.jsonl\{kind}: (is cut off|is no sound \{kind} file)") as raised:
            build_pairs(source, tmp_path / "pairs.jsonl")
        assert "\n" not in str(raised.value)
        assert [path.name for path in tmp_path.iterdir()] == [source.name]
