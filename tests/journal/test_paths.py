"""Which files belong to an output, and when a run may write to them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from collector.errors import OutputError
from collector.journal import StreamPaths, check_output


def test_names_stand_beside_the_output_and_keep_its_stem() -> None:
    """Seven files, one folder, one stem."""
    paths = StreamPaths.for_output("out/night.jsonl")
    assert [str(path) for path in paths.all] == [
        "out/night.jsonl",
        "out/night_failures.jsonl",
        "out/night_incomplete.jsonl",
        "out/night_decisions.jsonl",
        "out/night_limits.jsonl",
        "out/night.run.json",
        "out/night.lock",
    ]


@pytest.mark.parametrize("name", ["out/x.lock", "."])
def test_a_name_that_leaves_no_room_is_refused(name: str) -> None:
    """An output named like its own lock file would be its own lock."""
    with pytest.raises(OutputError, match="give a path|end it in"):
        StreamPaths.for_output(name)


def test_existing_rows_need_a_flag(paths: StreamPaths) -> None:
    """Rows are never overwritten by accident; the message names the file and both flags."""
    paths.rollouts.write_text("{}\n")
    with pytest.raises(OutputError, match=r"rollouts\.jsonl: exists already.*--resume.*--overwrite"):
        check_output(paths, resume=False, overwrite=False)
    check_output(paths, resume=True, overwrite=False)
    check_output(paths, resume=False, overwrite=True)


def test_side_files_with_rows_count_as_output(paths: StreamPaths) -> None:
    """A run whose rollouts all failed has something to lose, too."""
    paths.failures.write_text("{}\n")
    with pytest.raises(OutputError, match=r"rollouts_failures\.jsonl: exists already"):
        check_output(paths, resume=False, overwrite=False)


def test_an_empty_file_is_no_output(paths: StreamPaths) -> None:
    """What holds no row needs no flag."""
    paths.rollouts.touch()
    check_output(paths, resume=False, overwrite=False)


def test_things_that_are_no_regular_file_are_refused(paths: StreamPaths) -> None:
    """A folder, a pipe or a link at any of the five names is left alone, even with --overwrite."""
    paths.rollouts.mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_output(paths, resume=False, overwrite=True)
    paths.rollouts.rmdir()
    os.mkfifo(paths.failures)
    with pytest.raises(OutputError, match="is not a regular file"):
        check_output(paths, resume=False, overwrite=True)
    paths.failures.unlink()
    paths.run.symlink_to(paths.rollouts)
    with pytest.raises(OutputError, match="is a symbolic link"):
        check_output(paths, resume=False, overwrite=True)


def test_an_output_below_a_file_is_refused(tmp_path: Path) -> None:
    """A path that goes through a file cannot be written; said before any work."""
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="Not a directory"):
        check_output(StreamPaths.for_output(tmp_path / "file" / "rollouts.jsonl"), resume=False, overwrite=False)


def test_decisions_alone_need_a_flag(paths: StreamPaths) -> None:
    """A finished run's decisions are not written over by accident, though its rollouts were moved away."""
    paths.decisions.write_text("{}\n")
    with pytest.raises(OutputError, match=r"rollouts_decisions\.jsonl: exists already.*--resume.*--overwrite"):
        check_output(paths, resume=False, overwrite=False)
