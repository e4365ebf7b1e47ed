"""Half-written files: a killed process leaves them, the next one clears them away, and a living one keeps its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pairing.build import build_pairs
from pairing.output.drafts import new_draft, remove_stale
from tests.pairing.make import our_row, write_rows

_DIES = """
import os, signal, sys
from pairing.build import build_pairs
from pairing.strategies import BestWorst

class Deadly(BestWorst):
    def pick(self, pool):
        print("ready", flush=True)
        sys.stdin.readline()
        os.kill(os.getpid(), signal.SIGKILL)

build_pairs("r.jsonl", "pairs.jsonl", strategy=Deadly())
"""


def drafts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.endswith(".tmp"))


def test_a_killed_process_leaves_a_draft_that_the_next_one_removes(tmp_path: Path) -> None:
    """kill -9 while pairing: while the process lives its draft is nobody's to take, and the first start after its end
    clears it away."""
    source = write_rows(tmp_path / "r.jsonl", our_row(0, 0, 1.0), our_row(0, 1, 0.0))
    process = subprocess.Popen(
        [sys.executable, "-c", _DIES], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    (living,) = drafts(tmp_path)
    remove_stale(tmp_path / "pairs.jsonl")
    assert drafts(tmp_path) == [living]
    process.communicate("die\n")
    assert process.returncode == -signal.SIGKILL
    assert drafts(tmp_path) == [living]
    build_pairs(source, tmp_path / "pairs.jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.jsonl", "r.jsonl"]


@pytest.mark.parametrize(
    "name", [".pairs.jsonl.tmp", ".pairs.jsonl.12345678.tmp.bak", "pairs.jsonl.12345678.tmp", ".other.12345678.tmp"]
)
def test_files_of_other_names_stay(tmp_path: Path, name: str) -> None:
    """Only what a writer of this very output names its drafts is looked at."""
    (tmp_path / name).touch()
    remove_stale(tmp_path / "pairs.jsonl")
    assert (tmp_path / name).exists()


def test_a_folder_and_a_link_of_a_drafts_name_stay(tmp_path: Path) -> None:
    """Nothing is followed, and nothing but a file is removed."""
    (tmp_path / "precious").touch()
    (tmp_path / ".pairs.jsonl.12345678.tmp").symlink_to(tmp_path / "precious")
    (tmp_path / ".pairs.jsonl.00000000.tmp").mkdir()
    remove_stale(tmp_path / "pairs.jsonl")
    assert len(list(tmp_path.iterdir())) == 3


def test_a_draft_is_free_once_it_is_closed(tmp_path: Path) -> None:
    """The lock goes with the file."""
    draft, file = new_draft(tmp_path / "pairs.jsonl")
    remove_stale(tmp_path / "pairs.jsonl")
    assert draft.exists()
    file.close()
    remove_stale(tmp_path / "pairs.jsonl")
    assert not draft.exists()
