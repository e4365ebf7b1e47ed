"""Files that NeMo Gym really wrote are read without a crash, and everything in them is accounted for.

They live beside the checkout (or where PAIRMILL_NEMO_GYM_ROLLOUTS says); without them these tests are skipped.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from pairing import build_pairs
from pairing.checking import check_file
from pairing.formats import FORMATS
from tests.pairing.make import write_rows
from tests.pairing.test_identity import assert_adds_up

FOLDER = Path(os.environ.get("PAIRMILL_NEMO_GYM_ROLLOUTS", Path(__file__).parents[3] / "shared" / "nemo_gym_rollouts"))
FILES = sorted(FOLDER.glob("*.jsonl"))
LINES = [name for name, target in FORMATS.items() if not target.parquet_only]
HARMLESS = ("tool_output_trained", "shared_start", "neighbours")
"""What the check tells of right files too; a file of a few prompts cannot keep KTO's rows apart."""
pytestmark = pytest.mark.skipif(
    not FILES, reason="no NeMo Gym files here; PAIRMILL_NEMO_GYM_ROLLOUTS names their folder"
)


@pytest.mark.parametrize("format", ["recipe", "trl"])
@pytest.mark.parametrize("source", FILES, ids=lambda path: path.stem)
def test_every_file_is_read_and_adds_up(tmp_path: Path, source: Path, format: str) -> None:
    """Each line is a rollout or has its reason; broken lines are those that Python's json refuses, by file and line."""
    report = build_pairs(source, tmp_path / "pairs.jsonl", format=format)
    assert_adds_up(report)
    lines = [(n, line) for n, line in enumerate(source.read_bytes().split(b"\n"), 1) if line.strip()]
    assert report.lines == len(lines)
    broken = [n for n, line in lines if not _is_object(line)]
    assert report.broken == len(broken)
    wanted = [f"{source}:{n}:" for n in broken[:5]]
    assert [shown[: len(start)] for shown, start in zip(report.broken_shown, wanted, strict=True)] == wanted
    unscored = [row for _, line in lines if _is_object(line) and "reward" not in (row := json.loads(line))]
    assert sum(1 for row in unscored if row.get("response")) == report.sample_drops.get("no_reward", 0)


@pytest.mark.parametrize("format", ["recipe", "trl"])
def test_all_files_together(tmp_path: Path, format: str) -> None:
    """Files that all count their tasks from 0 are not mixed up: no pair comes of prompts with one rollout each."""
    report = build_pairs(FILES, tmp_path / "pairs.jsonl", format=format)
    assert_adds_up(report)
    assert report.pairs == 0


@pytest.mark.parametrize("source", FILES, ids=lambda path: path.stem)
def test_their_rows_give_pairs_once_there_are_two(tmp_path: Path, source: Path) -> None:
    """A real row and its own prompt's wrong answer make a pair, or the funnel says why not: the formats meet real
    prompts, tools and items. What is written passes the check for its trainer."""
    rows = [json.loads(line) for line in source.read_bytes().split(b"\n") if line.strip() and _is_object(line)]
    doubled = []
    for task, row in enumerate(rows):
        message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "no idea"}]}
        own = row | {"_ng_task_index": task, "_ng_rollout_index": 0, "reward": 1.0}
        doubled += [own, own | {"_ng_rollout_index": 1, "reward": 0.0, "response": {"output": [message]}}]
    doubled = [row for row in doubled if row.get("response")]
    pairs = write_rows(tmp_path / "doubled.jsonl", *doubled)
    for format in LINES:
        report = build_pairs(pairs, tmp_path / f"{format}.jsonl", format=format)
        assert_adds_up(report)
        allowed = {"too_few_rollouts", "too_few_usable", "no_chosen", "no_better_chosen", "unfit_content_parts"}
        if format not in ("recipe", "trl"):
            allowed |= {reason for reason in report.group_drops if reason.startswith("unfit_")}
        assert report.group_drops.keys() <= allowed
        if report.pairs and format != "recipe":
            found = check_file(tmp_path / f"{format}.jsonl", format)
            assert {name: found.shown[name] for name in found.counts if name not in HARMLESS} == {}


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False
