"""Real commands: a run whose follower is killed again and again, full disks, signals, `pairmill run`."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.commands import Commands, commands

_RUN = ("run", "--output-dir", "out", "--limit", "30", "--num-samples-in-parallel", "2")
_FOLLOW = ("pair", "--follow", "--input", "out/rollouts.jsonl", "--output", "pairs.jsonl")


@pytest.fixture(scope="module")
def pairmill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with commands(tmp_path_factory.mktemp("commands")) as nursery:
        yield nursery


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory, pairmill: Commands) -> Path:
    """A folder with a run that nobody disturbed."""
    folder = tmp_path_factory.mktemp("sealed")
    done = pairmill.run(*_RUN, folder=folder)
    assert done.code == 0, done.err
    assert sorted(path.name for path in (folder / "out").iterdir()) == [
        "pairs.jsonl",
        "rollouts.jsonl",
        "rollouts.run.json",
    ]
    return folder / "out"


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_a_run_pairs_as_it_goes(tmp_path: Path, pairmill: Commands, sealed: Path) -> None:
    """`pairmill run` has pairs in out/pairs.live.jsonl before it is through; killed there and gone on with, the pairs
    are those of a run that nobody disturbed, and so are those of `pairmill pair`."""
    live = tmp_path / "out" / "pairs.live.jsonl"
    run = pairmill.start(*_RUN, folder=tmp_path)
    run.until(lambda: _lines(live) >= 3)
    run.signal(signal.SIGKILL)
    assert run.wait().code == -signal.SIGKILL
    assert not (tmp_path / "out" / "pairs.jsonl").exists()
    whole = (sealed / "pairs.jsonl").read_bytes().splitlines()
    assert set(live.read_bytes().splitlines()) <= set(whole)
    done = pairmill.run(*_RUN, "--resume", folder=tmp_path)
    assert done.code == 0, done.err
    assert (tmp_path / "out" / "pairs.jsonl").read_bytes() == (sealed / "pairs.jsonl").read_bytes()
    assert not live.exists()
    done = pairmill.run("pair", "--input", sealed / "rollouts.jsonl", "--output", "offline.jsonl", folder=tmp_path)
    assert done.code == 0
    assert (tmp_path / "offline.jsonl").read_bytes() == (sealed / "pairs.jsonl").read_bytes()


def test_a_follower_that_is_killed_again_and_again(tmp_path: Path, pairmill: Commands, sealed: Path) -> None:
    """Started before the run and killed with SIGKILL at 2, 5 and 9 pairs: the last one ends with the same bytes, and
    leaves nothing beside them."""
    live = tmp_path / "pairs.live.jsonl"
    follower = pairmill.start(*_FOLLOW, folder=tmp_path)
    follower.until(lambda: "waiting for" in follower.err_so_far())
    run = pairmill.start(*_RUN, folder=tmp_path)
    for count in (2, 5, 9):
        follower.until(lambda enough=count: _lines(live) >= enough)  # type: ignore[misc]
        before = live.read_bytes()
        follower.signal(signal.SIGKILL)
        assert follower.wait().code == -signal.SIGKILL
        follower = pairmill.start(*_FOLLOW, folder=tmp_path)
        assert live.read_bytes().startswith(before)
    assert run.wait().code == 0
    done = follower.wait()
    assert done.code == 0, done.err
    assert (tmp_path / "pairs.jsonl").read_bytes() == (sealed / "pairs.jsonl").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "pairs.jsonl"]


def test_ctrl_c_says_what_stands_and_how_to_go_on(tmp_path: Path, pairmill: Commands) -> None:
    """One line for what stands where, one for the command; exit code 130."""
    follower = pairmill.start(*_FOLLOW, folder=tmp_path)
    follower.until(lambda: "waiting for" in follower.err_so_far())
    follower.signal(signal.SIGINT)
    done = follower.wait()
    assert done.code == 130
    *_, stands, command = done.err.rstrip("\n").split("\n")
    assert stands == "interrupted: no pair so far; go on with"
    assert command == "  pairmill " + " ".join(_FOLLOW)


def test_a_full_disk_ends_the_follower_with_one_line(tmp_path: Path, pairmill: Commands, sealed: Path) -> None:
    """What fits stands in whole lines; with room again the same command goes on to the same bytes."""
    rows = (sealed / "rollouts.jsonl").read_bytes()
    (tmp_path / "out").mkdir()
    run_file = (sealed / "rollouts.run.json").read_text()
    (tmp_path / "out" / "rollouts.run.json").write_text(run_file.replace('"finished"', '"running"', 1))
    (tmp_path / "out" / "rollouts.jsonl").write_bytes(rows)
    done = pairmill.run(*_FOLLOW, folder=tmp_path, file_size=2000)
    assert done.one_line() == "pairmill: error: pairs.live.jsonl: cannot be written: File too large (--output)"
    live = (tmp_path / "pairs.live.jsonl").read_bytes()
    assert live == b"" or live.endswith(b"\n")
    (tmp_path / "out" / "rollouts.run.json").write_text(run_file)
    assert pairmill.run(*_FOLLOW, folder=tmp_path).code == 0
    assert (tmp_path / "pairs.jsonl").read_bytes() == (sealed / "pairs.jsonl").read_bytes()
    assert not (tmp_path / "pairs.live.jsonl").exists()


def test_a_follower_that_fails_costs_the_run_nothing(tmp_path: Path, pairmill: Commands, sealed: Path) -> None:
    """The live file cannot be made: the run goes on, and its pairs come at the end."""
    (tmp_path / "out" / "pairs.live.jsonl").mkdir(parents=True)
    done = pairmill.run(*_RUN, folder=tmp_path)
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    assert "note: no pairs were made while the run went on, but at its end: out/pairs.live.jsonl: cannot be" in done.err
    assert (tmp_path / "out" / "pairs.jsonl").read_bytes() == (sealed / "pairs.jsonl").read_bytes()
