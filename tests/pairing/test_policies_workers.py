"""Strategies, guards and filters in several processes: the same bytes, the same counts, the same errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from collector.errors import UsageError
from pairing import Guards, PairSettings
from pairing.build import write_pairs
from tests.pairing.make import our_row, write_rows
from tests.pairing.test_workers import rounded

CODE = """
def pick(prompt):
    if prompt.rollouts[0].row["_ng_task_index"] == 50 and prompt.rollouts[0].row.get("fatal"):
        raise ValueError("no more")
    return [(max(prompt.chosen, key=lambda r: r.reward), min(prompt.rejected, key=lambda r: r.reward))]
"""


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pairing.workers.SPAN", 3_000)


def source(tmp_path: Path, fatal: bool = False) -> Path:
    rows = [
        our_row(task, n, (task * 7 + n * 3) % 5 / (1 if task % 3 else 4), fatal=fatal, level=n % 2)
        for task in range(60)
        for n in range(5)
    ]
    (tmp_path / "mine.py").write_text(CODE)
    return write_rows(tmp_path / "r.jsonl", *rows)


@pytest.mark.parametrize("strategy", ["auto", "best_random", "all_above_gap", "mine"])
def test_two_workers_decide_as_one(tmp_path: Path, strategy: str) -> None:
    """What was picked by which rule, what was filtered on either side, and every byte."""
    rollouts = source(tmp_path)
    spec = f"{tmp_path / 'mine.py'}:pick" if strategy == "mine" else strategy
    guards = Guards(where="level == 0 or reward > 1", max_pairs=2, max_length_ratio=3, max_similarity=0.99)
    reports = []
    for workers in (1, 2):
        settings = PairSettings(strategy=spec, guards=guards, workers=workers)
        reports.append(write_pairs([rollouts], tmp_path / f"{workers}.jsonl", settings, False))
    one, two = (replace(rounded(report), distinct=0.0, distinct_of=0.0) for report in reports)  # those are sampled
    assert one == two
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()
    assert reports[0].filtered.rivals_out > 0


def test_a_function_that_raises_in_a_worker_is_one_line(tmp_path: Path) -> None:
    """The prompt's id comes back to the process that tells it."""
    rollouts = source(tmp_path, fatal=True)
    settings = PairSettings(strategy=f"{tmp_path / 'mine.py'}:pick", workers=2)
    with pytest.raises(UsageError, match=f"prompt {our_row(50, 0)['prompt_id']}: ValueError: no more"):
        write_pairs([rollouts], tmp_path / "p.jsonl", settings, False)
    assert not (tmp_path / "p.jsonl").exists()
