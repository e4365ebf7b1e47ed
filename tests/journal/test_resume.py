"""Going on from what is there, and refusing to when it is another run's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collector.errors import OutputError, ResumeError
from collector.journal import StreamPaths, open_journal, read_run_file
from tests.journal.helpers import DIGEST, IDENTITY, keys_of, opened, resume_and_seal, row, write_rows


async def test_done_is_what_is_on_disk(paths: StreamPaths) -> None:
    """Each key once, with rows of the run before and none else."""
    await write_rows(paths, [row(3, 1), row(0, 0), row(3, 1)])
    async with opened(paths, resume=True) as journal:
        assert len(journal.done) == journal.rows == 2
        assert [key for key in ((0, 0), (0, 1), (3, 0), (3, 1)) if key in journal.done] == [(0, 0), (3, 1)]
        assert journal.notes == []


async def test_rows_of_incomplete_groups_are_taken_back(paths: StreamPaths) -> None:
    """They count as done, stand in the journal as they were, and their side file is gone until the next seal."""
    await write_rows(paths, [row(1, 0), row(0, 1), row(0, 0)])
    await resume_and_seal(paths)
    assert keys_of(paths.incomplete) == [(1, 0)]
    async with opened(paths, resume=True) as journal:
        assert (1, 0) in journal.done
        assert "took 1 rows of incomplete groups back" in journal.notes[0]
        assert not paths.incomplete.exists()
        assert row(1, 0) in paths.rollouts.read_bytes()


async def test_nothing_to_resume_is_a_fresh_start_that_says_so(paths: StreamPaths) -> None:
    """--resume in a job script works the first time, too."""
    async with opened(paths, resume=True) as journal:
        assert "nothing to resume" in journal.notes[0]
        await journal.append(row(0, 0))
    assert keys_of(paths.rollouts) == [(0, 0)]


@pytest.mark.parametrize(
    ("identity", "digest", "difference"),
    [
        ({**IDENTITY, "model": "other"}, DIGEST, r'model: was "tiny", now "other"'),
        ({**IDENTITY, "params": {"temperature": 1.0}}, DIGEST, r"params\.temperature: was 0\.8, now 1\.0"),
        ({**IDENTITY, "params": {}}, DIGEST, r"settings \(params\.temperature: was 0\.8, now not set\)"),
        ({**IDENTITY, "limit": 3}, DIGEST, r"limit: was not set, now 3"),
        (IDENTITY, "cd" * 32, rf'input sha256: was "{DIGEST}", now "{"cd" * 32}"'),
        ({**IDENTITY, "model": None}, "", r'input sha256: was .*; model: was "tiny", now null'),
    ],
)
async def test_other_settings_are_refused_with_each_difference(
    paths: StreamPaths, identity: dict[str, Any], digest: str, difference: str
) -> None:
    """A resumed file holds rows of one kind only; nothing on disk changes."""
    await write_rows(paths, [row(0, 0)])
    before = {path: path.read_bytes() for path in paths.all if path.exists()}
    with pytest.raises(ResumeError, match=difference):
        async with open_journal(
            paths, resume=True, overwrite=False, identity=identity, input_digest=digest, num_repeats=2
        ):
            pass
    assert {path: path.read_bytes() for path in paths.all if path.exists()} == before


async def test_rows_without_a_run_file_are_left_alone(paths: StreamPaths) -> None:
    """Nobody knows what they are, so they are neither continued nor destroyed."""
    paths.rollouts.write_bytes(row(0, 0))
    with pytest.raises(ResumeError, match=r"rollouts\.run\.json is missing.*--overwrite"):
        async with opened(paths, resume=True):
            pass
    paths.run.write_text("{}")
    with pytest.raises(ResumeError, match="is no run file"):
        async with opened(paths, resume=True):
            pass
    assert paths.rollouts.read_bytes() == row(0, 0)


async def test_a_flag_is_needed_before_anything_is_touched(paths: StreamPaths) -> None:
    """Without --resume or --overwrite an existing output stays byte for byte."""
    await write_rows(paths, [row(0, 0)])
    with pytest.raises(OutputError, match="exists already"):
        async with opened(paths):
            pass
    assert paths.rollouts.read_bytes() == row(0, 0)


async def test_overwrite_starts_from_nothing(paths: StreamPaths) -> None:
    """Rows, side files and scratch of the run before are gone; files that are not ours stay."""
    await write_rows(paths, [row(0, 0), row(0, 1), row(1, 0)])
    await resume_and_seal(paths)
    scratch = paths.rollouts.with_name("rollouts.jsonl.tmp")
    scratch.write_text("half")
    other = paths.rollouts.with_name("pairs.jsonl")
    other.write_text("{}\n")
    async with opened(paths, overwrite=True) as journal:
        assert len(journal.done) == 0
        await journal.append(row(7, 0))
    assert paths.rollouts.read_bytes() == row(7, 0)
    assert sorted(path.name for path in other.parent.iterdir()) == [
        "pairs.jsonl",
        "rollouts.jsonl",
        "rollouts.run.json",
    ]


async def test_the_folder_is_made(tmp_path: Path) -> None:
    """An output in a new folder needs no mkdir."""
    paths = StreamPaths.for_output(tmp_path / "a" / "b" / "rollouts.jsonl")
    await write_rows(paths, [row(0, 0)])
    assert keys_of(paths.rollouts) == [(0, 0)]


@pytest.mark.parametrize("folder", ["/proc/none", "/dev/null/deep"])
async def test_a_folder_that_cannot_be_made_is_one_clear_error(folder: str) -> None:
    """Said before the server is asked for anything."""
    with pytest.raises(OutputError, match="another --output|folder that can be written"):
        async with opened(StreamPaths.for_output(f"{folder}/rollouts.jsonl")):
            pass


async def test_the_run_file_tells_how_the_run_ended(paths: StreamPaths) -> None:
    """running while it lives, stopped by an error, finished when sealed; the start stays that of the first run."""

    def state() -> str:
        run = read_run_file(paths.run)
        assert run is not None
        return run.state

    with pytest.raises(KeyError):
        async with opened(paths) as journal:
            assert state() == "running"
            await journal.append(row(0, 0))
            raise KeyError
    assert state() == "stopped"
    first = read_run_file(paths.run)
    async with opened(paths, resume=True) as journal:
        await journal.append(row(0, 1))
        await journal.close("collected", {"requests": 5})
        assert state() == "collected"
        await journal.seal(2)
        assert state() == "finished"
    last = read_run_file(paths.run)
    assert first is not None
    assert last is not None
    assert (last.started, last.settings, last.input) == (first.started, IDENTITY, {"sha256": DIGEST})
    assert last.counts["requests"] == 5
    assert (last.counts["rollouts"], last.counts["missing_groups"]) == (2, 1)
    assert last.finished is not None
