"""`pairmill compare`: several strategies over the same groups, their numbers worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pairing.cli import main
from pairing.reports.compare import DEFAULT
from pairing.strategies import make_strategy
from tests.pairing.make import our_row, write_rows


@pytest.fixture
def source(tmp_path: Path) -> str:
    """Two prompts with a spread, one without."""
    texts = ("long" * 5, "short", "truncated" * 3, "mid" * 3)
    rows = [
        our_row(task, n, reward, texts[n], finish_reason="length" if n == 2 else "stop")
        for task in (0, 1)
        for n, reward in enumerate((1.0, 0.6, 0.0, 0.2))
    ]
    return str(write_rows(tmp_path / "r.jsonl", *rows, *(our_row(2, n, 0.5) for n in (0, 1))))


def compared(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["compare", *words])
    return code, capsys.readouterr().out


def test_the_numbers_are_those_of_the_pairs(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    """best_worst: 0 over 2 on two of three prompts; best_second: 0 over 1, none of which best_worst makes;
    nbest_worst: 0 and 1 over 2, half of which it makes."""
    specs = ("best_worst", "best_second", "nbest_worst:n=2")
    words = [word for spec in specs for word in ("--strategy", spec)]
    code, out = compared(capsys, "--input", source, "--json", *words)
    assert code == 0
    best, second, several = json.loads(out)
    assert best == {
        "strategy": "best_worst",
        "pairs": 2,
        "prompts": 3,
        "prompts_with_a_pair": pytest.approx(2 / 3),
        "mean_gap": 1.0,
        "mean_chosen_reward": 1.0,
        "mean_rejected_reward": 0.0,
        "chosen_longer": 0.0,
        "mean_chosen_length": 20.0,
        "mean_rejected_length": 27.0,
        "chosen_truncated": 0.0,
        "rejected_truncated": 1.0,
        "same_as_best_worst": 1.0,
        "gap_quartiles": [1.0, 1.0, 1.0],
        "rejected_reward_quartiles": [0.0, 0.0, 0.0],
        "rejected_length_quartiles": [27.0, 27.0, 27.0],
    }
    assert (second["pairs"], second["same_as_best_worst"], second["chosen_longer"]) == (2, 0.0, 1.0)
    assert (several["pairs"], several["same_as_best_worst"], several["prompts_with_a_pair"]) == (4, 0.5, 2 / 3)


def test_the_table_has_a_line_for_each(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --strategy a set that is known; the quartiles stand below."""
    code, out = compared(capsys, "--input", source)
    lines = [line.split() for line in out.splitlines()]
    assert code == 0
    assert [line[0] for line in lines[1:8]] == list(DEFAULT)
    assert lines[1] == ["best_worst", "2", "66.7%", "1.000", "1.000", "0.000", "0%", "20/27", "0%/100%", "100%"]
    assert max(map(len, out.splitlines())) <= 100
    assert ["best_worst", "1", "1", "1", "0", "0", "0", "27", "27", "27"] in lines
    for spec in DEFAULT:
        make_strategy(spec)


def test_the_order_of_the_lines_changes_nothing(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file in no order is read by its index, to the same table."""
    lines = Path(source).read_text().splitlines(keepends=True)
    (tmp_path / "back.jsonl").write_text("".join(lines[::-1]))
    assert compared(capsys, "--input", str(tmp_path / "back.jsonl")) == compared(capsys, "--input", source)


def test_the_guards_are_the_same_for_all(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And without any pair the exit code is 3."""
    words = ["--input", source, "--json", "--strategy", "adjacent", "--strategy", "best_worst"]
    code, out = compared(capsys, *words, "--truncated-rejected", "drop", "--min-gap", "0.5")
    assert [(column["pairs"], column["rejected_truncated"]) for column in json.loads(out)] == [(0, None), (2, 0.0)]
    assert code == 0
    code, out = compared(capsys, "--input", source, "--where", "false")
    assert code == 3
    assert out.splitlines()[1].split() == ["best_worst", "0", *"-" * 8]


def test_rewards_at_the_end_of_what_floats_hold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Means whose sums are no floats, as JSON that every reader takes, and a table no wider than a screen."""
    rows = write_rows(
        tmp_path / "r.jsonl", *(our_row(task, n, r) for task in range(4) for n, r in enumerate([1e308, 1]))
    )
    code, text = compared(capsys, "--input", str(rows), "--strategy", "best_worst", "--json")
    assert (code, json.loads(text, parse_constant=pytest.fail)[0]["mean_gap"]) == (0, 1e308)
    assert max(map(len, compared(capsys, "--input", str(rows))[1].splitlines())) <= 100
