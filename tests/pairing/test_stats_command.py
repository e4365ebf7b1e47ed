"""`pairmill stats` as a command: thresholds, lists, JSON, terminals of any width and encoding, hostile text."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pairing.cli import main, parse
from pairing.stats.options import _THRESHOLDS
from pairing.stats.thresholds import THRESHOLDS
from tests.pairing.make import Row, gym_row, our_row, read_rows, write_rows
from tests.pairing.test_nemo_gym_files import FILES

ROOT = Path(__file__).parents[2]


def rows() -> list[Row]:
    """Task 0 saturated, 1 hopeless, 2 and 3 with a pair (chosen longer, rejected cut), of four prompts."""
    rewards = [(1, 1), (0, 0), (1, 0.5), (1, 0)]
    return [
        our_row(t, n, r, text=f"answer {n}" + " long" * (n == 0), finish_reason="length" if r == 0.5 else "stop")
        for t, pair in enumerate(rewards)
        for n, r in enumerate(pair)
    ]


@pytest.fixture
def rollouts(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rollouts.jsonl", *rows())


def stats(*words: str | Path) -> int:
    return main(["stats", *map(str, words)])


def test_the_flags_are_those_of_the_thresholds() -> None:
    """What --help shows is what is looked at."""
    assert [flag for flag, _, _ in _THRESHOLDS] == [threshold.flag for threshold in THRESHOLDS]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--min-yield", "0.6"], "--min-yield 0.6 is not met: prompts with a pair: 0.5"),
        (["--min-pairs", "3"], "--min-pairs 3 is not met: pairs: 2"),
        (["--min-gap-mean", "0.8"], "--min-gap-mean 0.8 is not met: mean gap: 0.75"),
        (["--max-truncated", "0.1"], "--max-truncated 0.1 is not met: truncated answers: 0.125"),
        (["--max-chosen-longer", "0.6"], "--max-chosen-longer 0.6 is not met: pairs whose chosen side is longer: 1"),
        (["--max-all-same", "0.4"], "--max-all-same 0.4 is not met: prompts whose rewards are all equal: 0.5"),
        (["--max-saturated", "0.2"], "--max-saturated 0.2 is not met: saturated prompts: 0.25"),
        (["--max-hopeless", "0.2"], "--max-hopeless 0.2 is not met: hopeless prompts: 0.25"),
    ],
)
def test_a_threshold_that_is_not_met(
    rollouts: Path, words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3 and one line with what was asked and what is there; the report stands all the same."""
    assert stats("--input", rollouts, *words) == 3
    out, err = capsys.readouterr()
    assert err == f"pairmill: {line}\n"
    assert "diagnosis" in out


def test_thresholds_that_are_met(rollouts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What just reaches the bound meets it: exit code 0, nothing said."""
    bounds = ["--min-yield=0.5", "--min-pairs=2", "--min-gap-mean=0.75", "--min-unique=1", "--max-truncated=0.125"]
    bounds += ["--max-chosen-longer=1", "--max-all-same=0.5", "--max-saturated=0.25", "--max-hopeless=0.25"]
    assert stats("--input", rollouts, *bounds) == 0
    assert capsys.readouterr().err == ""


def test_each_unmet_threshold_has_its_line(rollouts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --json too, where stdout stays one line of JSON. A value next to its bound does not look like it."""
    assert (
        stats("--input", rollouts, "--json", "--min-yield", "0.50001", "--min-pairs", "9", "--min-gap-mean", "9") == 3
    )
    out, err = capsys.readouterr()
    assert err.count("is not met") == 3
    assert json.loads(out)["prompts_with_a_pair"] == 0.5


def test_nothing_to_tell_of_meets_no_threshold(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No pair has no mean gap, whatever was asked of it. An input without rollouts is 3 by itself."""
    path = write_rows(tmp_path / "r.jsonl", our_row(0, 0, 1.0))
    assert stats("--input", path, "--min-gap-mean", "0") == 3
    assert capsys.readouterr().err == "pairmill: --min-gap-mean 0 is not met: mean gap: there are none to tell of\n"
    assert stats("--input", write_rows(tmp_path / "none.jsonl")) == 3
    assert capsys.readouterr().err == "pairmill: the input holds no rollout\n"


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--min-yield", "60"], "--min-yield 60: give a share from 0 to 1"),
        (["--max-truncated", "nan"], "--max-truncated nan: give a share from 0 to 1"),
        (["--min-pairs", "-1"], "--min-pairs -1: give a number, 0 or more"),
        (["--success", "0"], "--success 0: give more than --failure (0)"),
        (["--success", "inf"], "--success inf, --failure 0: give numbers"),
        (["--list", "-1"], "--list -1: give 0 or more"),
        (["--min-gap", "-1"], "--min-gap -1.0: give a number, 0 or more"),
    ],
)
def test_flags_that_cannot_be(
    rollouts: Path, words: list[str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit code 2, nothing read."""
    assert stats("--input", rollouts, *words) == 2
    assert capsys.readouterr() == ("", f"pairmill: error: {wanted}\n")


def test_lists_of_prompts_are_written(rollouts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them by id and task index, one a line, in two passes as in one; shown are as many as asked for."""
    backwards = write_rows(tmp_path / "backwards.jsonl", *reversed(rows()))
    for number, path in enumerate((rollouts, backwards)):
        top, bottom = tmp_path / f"top{number}.jsonl", tmp_path / f"bottom{number}.jsonl"
        assert stats("--input", path, "--write-saturated", top, "--write-hopeless", bottom, "--list", "0") == 0
        saturated = {"prompt_id": rows()[0]["prompt_id"], "task_index": 0, "answers": 2, "mean_reward": 1.0}
        hopeless = {"prompt_id": rows()[2]["prompt_id"], "task_index": 1, "answers": 2, "mean_reward": 0.0}
        assert (read_rows(top), read_rows(bottom)) == ([saturated], [hopeless])
    assert rows()[0]["prompt_id"] not in capsys.readouterr().out
    assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_a_second_pass_lists_no_prompt_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first prompts came in order and were listed already when a late row makes the work start anew."""
    late = write_rows(tmp_path / "late.jsonl", *rows()[:6], rows()[7], rows()[0], rows()[6])
    listed = tmp_path / "saturated.jsonl"
    assert stats("--input", late, "--json", "--write-saturated", listed) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["saturated"]["count"], len(found["saturated"]["first"]), len(read_rows(listed))) == (1, 1, 1)
    assert (found["hopeless"]["count"], len(found["hopeless"]["first"])) == (1, 1)


def test_a_list_replaces_nothing_unasked(rollouts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is there, an input, one name for both: refused before anything is read. --overwrite replaces."""
    kept = tmp_path / "kept.jsonl"
    kept.write_text("mine\n")
    refused: list[Sequence[str | Path]] = [
        ["--write-saturated", kept],
        ["--write-hopeless", rollouts, "--overwrite"],
        ["--write-saturated", tmp_path / "one", "--write-hopeless", tmp_path / "one"],
        ["--write-saturated", tmp_path],
        ["--write-saturated", tmp_path / "no" / "folder"],
        ["--write-saturated", tmp_path / ("n" * 300)],
    ]
    for words in refused:
        assert stats("--input", rollouts, *words) == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n"), str(words[1]) in err or "--write-hopeless" in err) == ("", 1, True)
    assert kept.read_text() == "mine\n"
    assert stats("--input", rollouts, "--write-saturated", kept, "--overwrite") == 0
    assert len(read_rows(kept)) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.jsonl", "rollouts.jsonl"]


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_the_text_fits_the_terminal(rollouts: Path, columns: int, encoding: str) -> None:
    """No line is wider than the terminal; bars are blocks where the encoding has them, '#' where not."""
    done = subprocess.run(
        [sys.executable, "-m", "pairing.cli", "stats", "--input", str(rollouts)],
        capture_output=True,
        env={**os.environ, "COLUMNS": str(columns), "PYTHONIOENCODING": encoding, "PYTHONPATH": str(ROOT)},
        timeout=60,
        check=True,
    )
    lines = done.stdout.decode(encoding).split("\n")
    assert max(map(len, lines)) <= columns
    assert any("█" in line for line in lines) is (encoding == "utf-8")
    assert any("##" in line for line in lines) is (encoding != "utf-8")
    assert "\\u" not in done.stdout.decode(encoding)


def test_hostile_text_does_not_reach_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prompts, finish reasons and flags may hold escapes, line ends and wide characters: one clean line each."""
    evil = "\x1b[2J\x1b]0;title\x07red\u202e\nnext " + "\u6f22" * 200
    path = write_rows(
        tmp_path / "r.jsonl",
        *(our_row(0, n, 1.0, prompt_text=evil, finish_reason=evil, flags=[evil]) for n in range(2)),
    )
    assert stats("--input", path) == 0
    out = capsys.readouterr().out
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", out)
    (listed,) = [line for line in out.split("\n") if "task 0" in line]
    assert "red next" in listed
    assert len(listed) + listed.count("\u6f22") <= 120


def test_rows_of_every_odd_kind_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Broken lines, NaN, rewards of wrong types, odd fields, nesting without end: counted, and no traceback."""
    path = write_rows(tmp_path / "r.jsonl", *rows(), our_row(9, 0, True, usage=7, flags={}), gym_row(None, None, "1"))
    deep = json.dumps(our_row(10, 0, 1.0)).replace(
        '"finish_reason"', '"x": ' + "[" * 90000 + "]" * 90000 + ', "finish_reason"'
    )
    with path.open("a") as file:
        file.write('{"torn\n' + json.dumps(our_row(8, 0, float("nan"), usage=float("inf"))) + "\n" + deep + "\n")
    assert stats("--input", path) == 0
    assert "broken line" in capsys.readouterr().out


@pytest.mark.skipif(not FILES, reason="no NeMo Gym files here; PAIRMILL_NEMO_GYM_ROLLOUTS names their folder")
def test_files_that_nemo_gym_wrote(capsys: pytest.CaptureFixture[str]) -> None:
    """Each is read: the sums are those of its lines, the text and the JSON come without a fault."""
    for path in FILES:
        code = stats("--input", path, "--json")
        found = json.loads(capsys.readouterr().out)
        assert code == (0 if found["prompts"] else 3)
        lines = sum(1 for line in path.read_bytes().split(b"\n") if line.strip())
        assert found["rollouts"] + sum(found["line_drops"].values()) == lines
        assert sum(found["finish_reasons"].values()) == found["rollouts"]
        assert found["rollouts_with_usage"] <= found["rollouts"]
        assert stats("--input", path) == code
        assert "rollouts of" in capsys.readouterr().out


def test_stats_pairs_as_pair_does(rollouts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same flags give the same pairs: a higher minimum gap leaves one."""
    assert stats("--input", rollouts, "--json", "--min-gap", "0.6", "--strategy", "best_random") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["pairs"], found["gaps"]["mean"], found["strategy"]) == (1, 1.0, "best_random")
    assert found["group_drops"] == {"all_equal": 2, "gap_below_min": 1}
    assert parse(["stats", "--input", "x"]).min_gap == 0.15


def test_groups_by_position(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows without index and id are one prompt by their text, and two where --group-size says so."""
    path = write_rows(tmp_path / "r.jsonl", *(gym_row(None, None, reward) for reward in (0, 1, 1, 0)))
    assert stats("--input", path) == 0
    assert "4 rollouts of 1 prompts" in capsys.readouterr().out
    assert stats("--input", path, "--group-size", "2") == 0
    assert "4 rollouts of 2 prompts" in capsys.readouterr().out


def test_numbers_of_early_stop_are_said_to_be_biased(rollouts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The decisions beside the rollouts tell of it; without them nothing is said."""
    stats("--input", rollouts)
    assert "early stop" not in capsys.readouterr().out
    decisions = [{"_ng_task_index": task, "rollouts": 2} for task in range(4)]
    write_rows(rollouts.with_name("stopped_decisions.jsonl"), *decisions)
    stats("--input", rollouts.rename(rollouts.with_name("stopped.jsonl")))
    out = " ".join(capsys.readouterr().out.split())
    assert "the mean reward and pass@k are biased (docs/early-stop.md)" in out
