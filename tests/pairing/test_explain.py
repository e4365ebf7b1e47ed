"""`pairmill explain`: the prompt is found, and the outcome told as pairing would have it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pairing.cli import main
from tests.pairing.make import Row, our_row, write_rows


def explained(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["explain", *words])
    done = capsys.readouterr()
    return code, done.out, done.err


def lines_of(rows: Sequence[Row], path: Path) -> str:
    return str(write_rows(path / "r.jsonl", *rows))


@pytest.fixture
def source(tmp_path: Path) -> str:
    rows = [
        our_row(0, 0, 1.0, "the best, cut", finish_reason="length"),
        our_row(0, 1, 0.8, "a good answer"),
        our_row(0, 2, 0.1, "a bad answer"),
        our_row(0, 3, None, "unscored"),
        our_row(0, 4, 0.05, ""),
        *(our_row(1, n, 0.5, f"as good {n}") for n in range(3)),
        *(our_row(2, n, float(n), "the same") for n in range(2)),
    ]
    return lines_of(rows, tmp_path)


def test_each_rollout_is_told_with_what_became_of_it(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Dropped by which guard, barred from which side, chosen, rejected; then the pick, and both texts."""
    code, out, _ = explained(capsys, "--task", "0", "--input", source)
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in out.splitlines() if line[:5].strip().isdigit()}
    assert code == 0
    assert rows == {
        "0": "1 length 13 usable; never chosen: truncated",
        "1": "0.8 stop 13 chosen",
        "2": "0.1 stop 12 rejected",
        "3": "- stop 8 dropped: no_reward (reward absent or null)",
        "4": "0.05 stop 0 dropped: empty_text (the answer says and calls nothing)",
    }
    assert "pool: 2 may be chosen, 3 rejected; reward mean 0.6333, std 0.3859" in out
    assert "best_worst picked 1:\n  1 over 2, gap 0.7: a pair" in out
    assert "a good answer" in out.rpartition("chosen, reward 0.8")[2]


@pytest.mark.parametrize(
    ("task", "flags", "wanted"),
    [
        ("1", [], "no pair: all_equal (all usable rewards are equal)"),
        ("2", [], "1 over 0, gap 1: refused: identical_text (both sides say the same)"),
        ("2", ["--allow", "identical_text"], "1 over 0, gap 1: a pair"),
        ("0", ["--min-gap", "0.75"], "no pair: gap_below_min"),
        ("0", ["--strategy", "auto"], "1 over 2, gap 0.7: a pair (by best_worst)"),
        ("0", ["--where", "reward > 0.5"], "dropped: filtered (left out by --where)"),
        ("0", ["--min-chosen-reward", "0.9"], "never chosen: reward under --min-chosen-reward"),
    ],
)
def test_the_flags_are_those_of_pairing(
    source: str, capsys: pytest.CaptureFixture[str], task: str, flags: list[str], wanted: str
) -> None:
    """What pairing would do with the same flags is what is told; without a pair the texts are shown all the same."""
    code, out, _ = explained(capsys, "--task", task, "--input", source, *flags)
    assert code == 0
    assert wanted in out
    assert "rejected, reward" in out


def test_a_prompt_is_found_by_the_beginning_of_its_id(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A whole id and its first half tell the same; one that is not there is answered with the nearest."""
    prompt_id = our_row(1, 0)["prompt_id"]
    whole = explained(capsys, prompt_id, "--input", source)
    assert explained(capsys, prompt_id[:8], "--input", source) == whole
    assert whole[1].startswith(f"prompt {prompt_id}, task 1: 3 rollouts")
    code, _, error = explained(capsys, f"{prompt_id[:-1]}!", "--input", source)
    assert code == 1
    assert f"no prompt {prompt_id[:-1]}!; the nearest are {prompt_id}" in error
    assert "no task 7; the nearest are 2, 1, 0" in explained(capsys, "--task", "7", "--input", source)[2]


def test_an_id_that_begins_several_is_not_guessed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both are named."""
    rows = [our_row(t, n, prompt_id=f"{'ab' * 7}0{t}") for t in (0, 1) for n in (0, 1)]
    code, _, error = explained(capsys, "abab", "--input", lines_of(rows, tmp_path))
    assert code == 1
    assert f"give {'ab' * 7}00 or {'ab' * 7}01" in error


@pytest.mark.parametrize("words", [[], ["abc", "--task", "1"]])
def test_one_prompt_is_asked_for(source: str, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    """An id or a task index, not both, not neither."""
    code, _, error = explained(capsys, *words, "--input", source)
    assert (code, "give a prompt id" in error) == (2, True)


def test_what_a_model_wrote_cannot_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Escapes in texts and in fields are taken out."""
    odd: dict[str, Any] = {"finish_reason": "\x1b[31mst"}
    rows = [our_row(0, n, float(n), f"\x1b]0;title\x07{n}\x1b[2J", **odd) for n in (0, 1)]
    out = explained(capsys, "--task", "0", "--input", lines_of(rows, tmp_path))[1]
    assert "\x1b" not in out
    assert "\x07" not in out
