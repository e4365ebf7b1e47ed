"""The whole job on the embedded model, killed again and again: the pairs are those of a run that nobody disturbed."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.faults.commands import Commands
from tests.faults.runs import VOLATILE, rows_in

_LIMIT = 40


def _lines_in(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, pairmill: Commands) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    done = pairmill.run("run", "--output-dir", "out", "--limit", str(_LIMIT), folder=folder, OPENBLAS_NUM_THREADS="1")
    assert done.code == 0, done.err
    return folder / "out"


def _stable(path: Path) -> list[dict[str, Any]]:
    """The rollouts without what is measured, what the server numbers and dates anew whoever asks, and which of several
    equal texts came later (`identical`)."""
    rows = [{name: value for name, value in row.items() if name not in VOLATILE} for row in rows_in(path)]
    for row in rows:
        for name in ("id", "created"):
            row["response"].pop(name)
        row["flags"] = [flag for flag in row.get("flags", ()) if flag != "identical"]
    return rows


def test_pairs_after_kills_are_the_same_bytes(tmp_path: Path, pairmill: Commands, undisturbed: Path) -> None:
    """Killed with SIGKILL at 15, 40 and 80 of 160 rollouts, each time gone on with --resume: pairs.jsonl is equal byte
    for byte, and the rollouts are equal in all but what is measured or numbered anew."""
    words = ["run", "--output-dir", "out", "--limit", str(_LIMIT), "--num-samples-in-parallel", "2"]
    rollouts = tmp_path / "out" / "rollouts.jsonl"
    for count in (15, 40, 80):
        run = pairmill.start(*words, "--resume", folder=tmp_path, OPENBLAS_NUM_THREADS="1")
        run.until(lambda enough=count: _lines_in(rollouts) >= enough)  # type: ignore[misc]
        run.signal(signal.SIGKILL)
        assert run.wait().code == -signal.SIGKILL
        assert count <= _lines_in(rollouts) < 4 * _LIMIT
        assert not (tmp_path / "out" / "pairs.jsonl").exists()
    done = pairmill.run(*words, "--resume", folder=tmp_path, OPENBLAS_NUM_THREADS="1")
    assert done.code == 0, done.err
    assert (tmp_path / "out" / "pairs.jsonl").read_bytes() == (undisturbed / "pairs.jsonl").read_bytes()
    assert _stable(rollouts) == _stable(undisturbed / "rollouts.jsonl")


def test_a_kill_while_pairing_leaves_no_half_of_a_pairs_file(
    tmp_path: Path, pairmill: Commands, undisturbed: Path
) -> None:
    """pairs.jsonl is there whole or not at all; the same command gives it again."""
    words: list[str | Path] = [
        "pair",
        "--input",
        undisturbed / "rollouts.jsonl",
        "--output",
        tmp_path / "pairs.jsonl",
        "--overwrite",
    ]
    whole = (undisturbed / "pairs.jsonl").read_bytes()
    for _ in range(20):
        run = pairmill.start(*words, folder=tmp_path)
        run.until(lambda: any(tmp_path.iterdir()))
        run.signal(signal.SIGKILL)
        run.wait()
        if (tmp_path / "pairs.jsonl").exists():
            assert (tmp_path / "pairs.jsonl").read_bytes() == whole
        for path in tmp_path.iterdir():
            path.unlink()
    assert pairmill.run(*words, folder=tmp_path).code == 0
    assert (tmp_path / "pairs.jsonl").read_bytes() == whole
