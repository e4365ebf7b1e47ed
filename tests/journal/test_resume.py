"""Going on from what is there, and refusing to when it is another run's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collector.errors import OutputError, ResumeError
from collector.journal import StreamPaths, open_journal, read_run_file
from collector.journal.scoring import what_scores
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


def test_how_a_verifier_is_asked_is_no_part_of_what_it_scores() -> None:
    """Two specifications that a run may go on with, and two of another meaning, kind by kind."""
    alike = [
        ("math", "math:timeout=9,workers=2"),
        ("python:threads=2,timeout=3,./mine.py:score", "python:./mine.py:score"),
        ("http:timeout=5,http://gym:8001/verify", "http:http://gym:41234/verify"),
        ("http://gym:8001", "http:http://gym:9"),
        ("0.7*fine=judge:url=http://a:1/v1,model=j,parallel=64", "0.7*fine=judge:url=http://b:2/v1,timeout=9,model=j"),
        ("judge:url=http://a/v1,api_key_env=K,pattern=x,y", "judge:url=http://a/v1,api_key_env=L,pattern=x,y"),
        (["numeric", "math:workers=1"], ["numeric", "math"]),
        ("regex:timeout=1,pattern=a,timeout=2", "regex:timeout=3,pattern=a,timeout=2"),
    ]
    others = [
        ("regex:pattern=a,timeout=2", "regex:pattern=a,timeout=3"),
        ("math:precision=3", "math"),
        ("python:./mine.py:score", "python:./yours.py:score"),
        ("http:http://gym:8001", "http:http://other:8001"),
        ("http:http://gym/a", "http:http://gym/b"),
        ("judge:url=http://a:1/v1,model=j", "judge:url=http://a:1/v1,model=k"),
        ("judge:url=http://a:1/v1", "judge:url=http://a:2/v1"),
        ("judge:url=http://a/v1,model=j,max=5", "judge:url=http://a/v1,model=j"),
        ("0.7*numeric", "0.6*numeric"),
        ("numeric", None),
        (["numeric"], ["numeric", "math"]),
    ]
    assert [pair for pair in alike if what_scores(pair[0]) != what_scores(pair[1])] == []
    assert [pair for pair in others if what_scores(pair[0]) == what_scores(pair[1])] == []


async def test_a_run_goes_on_with_a_judge_that_is_asked_otherwise(paths: StreamPaths) -> None:
    """The port, parallelism and patience of verifiers and vetoes may change, and that is told; the model may not. The
    run file was written before anyone thought of that."""
    was = {**IDENTITY, "verifier": "judge:url=http://a:1/v1,model=j,parallel=8", "vetoes": ["math:workers=4"]}
    now = {**IDENTITY, "verifier": "judge:url=http://b:7/v1,model=j", "vetoes": ["math"]}
    other = {**now, "verifier": "judge:url=http://b:7/v1,model=k"}
    given: dict[str, Any] = {"overwrite": False, "input_digest": DIGEST, "num_repeats": 2}
    async with open_journal(paths, resume=False, identity=was, **given) as journal:
        await journal.append(row(0, 0))
    async with open_journal(paths, resume=True, identity=now, **given) as journal:
        assert len(journal.done) == 1
        assert journal.notes == [
            "--verifier was judge:url=http://a:1/v1,model=j,parallel=8 when this run began,"
            " and is now judge:url=http://b:7/v1,model=j",
            "--veto was math:workers=4 when this run began, and is now math",
        ]
    with pytest.raises(ResumeError, match=r"\(verifier: was .*model=j.*, now .*model=k"):
        async with open_journal(paths, resume=True, identity=other, **given):
            pass
