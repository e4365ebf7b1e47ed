"""Several workers: the same bytes and the same counts as one process, wherever the file is cut."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.errors import OutputError, PairmillError
from collector.records.spread import Spread
from pairing import PairReport, PairSettings, build_pairs
from pairing.build import write_pairs
from pairing.formats.trl import Trl
from pairing.output.blocks import BlockSink
from pairing.reading.files import ReadTally
from pairing.reading.plain_rows import Trust
from pairing.reading.spans import read_span, spans_of
from pairing.workers import can_share
from tests.pairing.make import Row, gym_row, lines_of, our_row, write_lines, write_rows
from tests.pairing.test_formats import tool_rows
from tests.pairing.test_identity import assert_adds_up


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 3 kB, in place of 8 MiB."""
    monkeypatch.setattr("pairing.workers.SPAN", 3_000)


def rounded(report: PairReport) -> PairReport:
    """The report without the last digits of its means, and without its file's name."""
    spreads: dict[str, Any] = {
        name: _rounded(getattr(report, name)) for name in ("rewards", "temperatures", "gaps", "close_gaps")
    }
    means: dict[str, Any] = {
        name: round(getattr(report, name), 9) for name in ("within_std", "distinct", "distinct_of")
    }
    return replace(report, output=Path(), outputs=(), **spreads, **means)


def _rounded(spread: Spread) -> Spread:
    return replace(spread, mean=round(spread.mean, 9), squares=round(spread.squares, 9))


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("format", ["trl", "recipe", "trl-kto"])
def test_workers_give_the_bytes_of_one(tmp_path: Path, format: str) -> None:
    """Broken and blank lines, columns that come late, failures: same file, same funnel, same line numbers."""
    rows: list[Row] = []
    for task in range(60):
        rows += [our_row(task, n, (task * 7 + n * 3) % 5 / 4, "word " * (task % 40 + n + 1)) for n in range(4)]
        rows += tool_rows(task) if task == 47 else []
    lines = lines_of(rows)
    lines[5:5] = ["", "{torn", " "]
    lines[170:170] = ["[1]", "", '{"output": "a"}']
    source = write_lines(tmp_path / "r.jsonl", lines)
    assert can_share([source], 2)
    one = build_pairs(source, tmp_path / "one.jsonl", format=format)
    two = build_pairs(source, tmp_path / "two.jsonl", format=format, workers=2)
    assert (tmp_path / "two.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()
    assert two.passes == 1
    assert rounded(two) == rounded(one)
    assert_adds_up(two)


@pytest.mark.usefixtures("small_parts")
def test_a_file_in_no_order_is_paired_all_the_same(tmp_path: Path) -> None:
    """A part that is out of order, or that begins before the last one ended, leads to two passes."""
    rows = [our_row(task, n, n / 3) for task in range(40) for n in range(3)]
    one = build_pairs(write_rows(tmp_path / "a.jsonl", *rows), tmp_path / "a.out", workers=2)
    two = build_pairs(write_rows(tmp_path / "b.jsonl", *rows[60:], *rows[:60]), tmp_path / "b.out", workers=2)
    assert (one.passes, two.passes) == (1, 2)
    assert (tmp_path / "a.out").read_bytes() == (tmp_path / "b.out").read_bytes()


@settings(max_examples=60, deadline=None)
@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=12), span=st.integers(50, 4000), text=st.integers(0, 300))
def test_parts_tile_the_file_between_groups(sizes: list[int], span: int, text: int) -> None:
    """Whatever the length of parts, each rollout is in exactly one, and each task in one alone."""
    rows = [gym_row(task, n, 0.0, "x" * text) for task, size in enumerate(sizes) for n in range(size)]
    with tempfile.TemporaryDirectory() as folder:
        path = write_rows(Path(folder) / "r.jsonl", *rows)
        parts = [
            [
                rollout.row.task_index
                for run in read_span(path, start, stop, ReadTally(), Trust())
                for rollout in run.members()
            ]
            for start, stop in spans_of(path, span, 2)
        ]
    assert [task for part in parts for task in part] == [task for task, size in enumerate(sizes) for _ in range(size)]
    seen = [task for part in parts for task in set(part)]
    assert len(seen) == len(set(seen))


@pytest.mark.usefixtures("small_parts")
def test_a_worker_that_is_killed_is_one_line(tmp_path: Path) -> None:
    """Nothing hangs, nothing is left behind."""

    class Deadly:
        name = "deadly"
        min_gap = 0.0

        def pick(self, pool: object) -> str:
            if multiprocessing.parent_process() is not None:
                os.kill(os.getpid(), signal.SIGKILL)
            return "no_pick"

    source = write_rows(tmp_path / "r.jsonl", *(our_row(task, n, n / 3) for task in range(40) for n in range(3)))
    with pytest.raises(PairmillError, match="a worker ended before its work was done .*: try --workers 1"):
        build_pairs(source, tmp_path / "pairs.jsonl", strategy=Deadly(), workers=2)
    assert [path.name for path in tmp_path.iterdir()] == ["r.jsonl"]


@pytest.mark.usefixtures("small_parts")
def test_an_error_that_cannot_travel_is_told(tmp_path: Path) -> None:
    """Of an exception that cannot be sent to another process, what it says comes."""

    class LocalError(Exception):
        pass

    class Failing:
        name = "failing"
        min_gap = 0.0

        def pick(self, pool: object) -> str:
            if multiprocessing.parent_process() is not None:
                raise LocalError("no more")
            return "no_pick"

    source = write_rows(tmp_path / "r.jsonl", *(our_row(task, n, n / 3) for task in range(40) for n in range(3)))
    with pytest.raises(RuntimeError, match=r"LocalError\('no more'\)"):
        build_pairs(source, tmp_path / "pairs.jsonl", strategy=Failing(), workers=2)
    assert [path.name for path in tmp_path.iterdir()] == ["r.jsonl"]


@pytest.mark.usefixtures("small_parts")
def test_workers_split_as_one(tmp_path: Path) -> None:
    """Train and validation, with columns that come late on either side: the same two files."""
    rows = [our_row(task, n, n / 3, "word " * (task % 40 + 1) + str(n)) for task in range(60) for n in range(4)]
    for late in (20, 33, 47):
        rows[late * 4 : late * 4 + 4] = tool_rows(late)
    source = write_rows(tmp_path / "r.jsonl", *rows)
    written = []
    for workers in (1, 3):
        output = tmp_path / f"{workers}.jsonl"
        report = write_pairs([source], output, PairSettings(validation=0.4, workers=workers), False)
        written.append([path.read_bytes() for path in report.outputs])
    assert written[0] == written[1]
    assert all(b"tool_calls" in side for side in written[0])


def test_a_full_disk_beside_the_output_is_one_line(tmp_path: Path) -> None:
    """What a worker cannot write is told as what this process cannot write is."""
    sink = BlockSink(Trl(), True, tmp_path / "pairs.jsonl")
    with Path("/dev/full").open("wb", buffering=0) as full:
        sink.begin(full)
        with pytest.raises(OutputError, match=r"pairs.jsonl: cannot be written: No space left on device \(--output\)"):
            sink.write(b"{}", "a")


def test_small_and_several_files_are_left_to_one(tmp_path: Path) -> None:
    """Where there is nothing to share, workers are not started."""
    source = write_rows(tmp_path / "r.jsonl", our_row(0, 0))
    assert not can_share([source], 8)
    assert not can_share([source, source], 8)
    assert PairSettings(workers=8).workers == 8
