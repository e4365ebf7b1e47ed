"""docs/stats.md says what `pairmill stats` does: its output, its flags, its keys, its snippet."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pairing.settings import PairSettings
from pairing.stats.figures import as_json
from pairing.stats.gather import Asked, gather
from pairing.stats.thresholds import THRESHOLDS
from tests.pairing.make import our_row, write_rows

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "stats.md").read_text(encoding="utf-8")


def in_terminal(line: str, folder: Path) -> str:
    """What a command of the docs prints, its errors last, in 80 columns."""
    done = subprocess.run(
        [sys.executable, "-m", "pairing.cli", *line.split()[1:]],
        capture_output=True,
        cwd=folder,
        env={**os.environ, "COLUMNS": "80", "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(ROOT)},
        timeout=100,
        check=False,
    )
    return (done.stdout + done.stderr).decode()


def test_the_output_is_what_the_embedded_model_gives(tmp_path: Path) -> None:
    """Both commands of the page, run: the second prints what the page shows, to the letter."""
    (block,) = re.findall(r"^```console\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    collect, stats, shown = block.split("\n", 2)
    in_terminal(collect.removeprefix("$ "), tmp_path)
    assert in_terminal(stats.removeprefix("$ "), tmp_path) == shown


def test_every_flag_and_key_is_named(tmp_path: Path) -> None:
    """No threshold and no key of the JSON is left unsaid; the plain counts speak for themselves."""
    path = write_rows(tmp_path / "r.jsonl", our_row(0, 0, 1.0), our_row(0, 1, 0.0))
    plain = {"strategy", "prompts", "rollouts", "usable", "group_drops", "sample_drops", "line_drops"}
    plain |= {"success", "failure", "prompts_with_a_pair"}
    keys = as_json(gather([path], PairSettings(), Asked())).keys() - plain
    assert {name for name in keys if f"`{name}`" not in TEXT and name != "pairs"} == set()
    assert [threshold.flag for threshold in THRESHOLDS if f"`{threshold.flag} " not in TEXT] == []


def test_the_snippet_drops_the_prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands on the page: the listed tasks are gone, the others stay in their order, blank lines are none."""
    (snippet,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    write_rows(tmp_path / "saturated.jsonl", {"task_index": 1})
    (tmp_path / "prompts.jsonl").write_text('{"n":0}\n\n{"n":1}\n{"n":2}\n')
    monkeypatch.chdir(tmp_path)
    done = subprocess.run([sys.executable, "-c", snippet], timeout=60, check=False)
    assert done.returncode == 0
    assert [json.loads(line) for line in (tmp_path / "fewer.jsonl").read_text().split("\n") if line] == [
        {"n": 0},
        {"n": 2},
    ]
