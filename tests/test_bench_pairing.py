"""The pairing benchmark at its smallest size: it measures what it says it does, and leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("polars", reason="the benchmark needs the [bench] extra")
pytest.importorskip("duckdb", reason="the benchmark needs the [bench] extra")

SCRIPTS = Path(__file__).parents[1] / "scripts"


def bench(folder: Path, *options: str) -> list[str]:
    """The lines that the benchmark prints."""
    command = [sys.executable, str(SCRIPTS / "bench_pairing.py"), "--size=300KB", "--rounds=1", f"--folder={folder}"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(folder.iterdir()) == []
    return done.stdout.splitlines()


def test_every_method_pairs_the_same_rows(tmp_path: Path) -> None:
    """Ours agree with each other, and the others with the reference recipe; a table, and JSON."""
    lines = bench(tmp_path, "--markdown")
    found = json.loads(lines[-1])
    assert found["rows"] % 4 == 0
    assert found["bytes"] / found["rows"] == pytest.approx(found["row_bytes"], rel=0.1)
    pairs = {name: method["pairs"] for name, method in found["methods"].items()}
    ours = {pairs.pop(name) for name in ("trl", "recipe", "shuffled", "zst", "workers")}
    others = {pairs.pop(name) for name in ("reference", "reference-orjson", "polars", "duckdb")}
    assert (len(ours), len(others), pairs) == (1, 1, {})
    assert 0 < min(ours) <= min(others) <= found["rows"] / 4
    for method in found["methods"].values():
        assert method["best"] > 0
        assert method["peak_mb"] > 1
        assert method["mb_per_cpu_s"] > 0
        assert method["rows_per_cpu_s"] > 0
    assert lines[0].startswith("| method | MB/s of CPU |")
    assert len([line for line in lines if line.startswith("|")]) == 11
    assert found["workers_cpu_ratio"] > 0


def test_a_method_can_be_measured_alone(tmp_path: Path) -> None:
    """Without the reference there is nothing to compare with, and that is no error."""
    found = json.loads(bench(tmp_path, "--only=recipe")[-1])
    assert list(found["methods"]) == ["recipe"]
    assert found["workers_cpu_ratio"] is None
