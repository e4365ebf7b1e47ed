"""`pairmill tune` for real, on the embedded server: what it writes, that it goes on after a kill, its exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs import wait_for

ROOT = Path(__file__).parents[2]
SMALL = ("--temperature", "0.4,1.0", "--top-p", "1", "--num-repeats", "2,4", "--pilot", "10")


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "pairing.cli", "tune", *words]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}


def tuned(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("--output-dir", "t", *words), cwd=folder, env=environment(), capture_output=True, text=True, timeout=110
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("tune")
    return folder, tuned(folder, *SMALL)


Done = tuple[Path, subprocess.CompletedProcess[str]]


def test_a_tune_ends_with_flags_to_use(done: Done) -> None:
    """The budget first, a table for each rung, the flags on the last line; the same in summary.json and report.md."""
    folder, told = done
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert any("80 requests in all" in line for line in lines)
    assert lines[-1].startswith("--temperature ")
    summary = json.loads((folder / "t" / "summary.json").read_text())
    assert summary["recommended"] == lines[-1]
    assert [len(rung["arms"]) for rung in summary["rungs"]] == [2]
    assert lines[-1] in (folder / "t" / "report.md").read_text()


def test_without_a_terminal_each_arm_has_a_line(done: Done) -> None:
    """A log gets whole lines and no half-drawn bar."""
    begun = [line for line in done[1].stderr.splitlines() if line.startswith("Tuning: ")]
    assert [line.split(",")[0] for line in begun] == ["Tuning: 0 of 80 rollouts", "Tuning: 40 of 80 rollouts"]
    assert "|" not in done[1].stderr


def test_each_arm_is_a_stream_that_can_be_paired(done: Done) -> None:
    """Nothing that was paid for is lost: sealed rollouts, whole groups, the arm's own settings in every row."""
    folder, _ = done
    for arm in json.loads((folder / "t" / "summary.json").read_text())["rungs"][0]["arms"]:
        rows = [json.loads(line) for line in (folder / "t" / arm["rollouts"]).read_text().splitlines()]
        assert [(row["_ng_task_index"], row["_ng_rollout_index"]) for row in rows] == [
            (task, repeat) for task in range(10) for repeat in range(4)
        ]
        assert {row["responses_create_params"]["temperature"] for row in rows} == {arm["temperature"]}


def test_arms_answer_the_same_prompts_with_the_same_seeds(done: Done) -> None:
    """What is compared differs in nothing but the arm."""
    folder, _ = done
    asked = []
    for path in sorted((folder / "t" / "arms").glob("*/rollouts.jsonl")):
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        asked.append([(row["prompt_id"], row["seed"]) for row in rows])
    assert len(asked) == 2
    assert asked[0] == asked[1]


def test_a_killed_tune_goes_on_to_the_same_end(done: Done, tmp_path: Path) -> None:
    """Killed in the middle, then --resume: the same summary as in one go, byte for byte, and nothing asked twice. A
    third time there is nothing left to ask, and other flags are refused."""
    whole, _ = done
    words = command("--output-dir", "t", *SMALL)
    with subprocess.Popen(
        words, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        wait_for(lambda: any((tmp_path / "t" / "arms").glob("*/rollouts.jsonl")))
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "t" / "summary.json").exists()
    refused = tuned(tmp_path, *SMALL)
    assert refused.returncode == 1
    assert "--resume goes on" in refused.stderr
    for _ in range(2):
        resumed = tuned(tmp_path, *SMALL, "--resume")
        assert resumed.returncode == 0, resumed.stderr
        assert (tmp_path / "t" / "summary.json").read_bytes() == (whole / "t" / "summary.json").read_bytes()
    other = tuned(tmp_path, *SMALL, "--resume", "--seed", "5")
    assert other.returncode == 1
    assert "pilot.jsonl: holds other prompts" in other.stderr


def test_answers_that_are_all_cut_are_exit_code_3(tmp_path: Path) -> None:
    """Three tokens are not enough for any answer: no flags, the reason on standard error."""
    told = tuned(tmp_path, *SMALL, "--max-output-tokens", "3")
    assert told.returncode == 3
    assert "every arm cuts more than 10% of its answers" in told.stderr
    assert json.loads((tmp_path / "t" / "summary.json").read_text())["recommended"] is None


def test_a_dry_run_shows_the_budget_alone(tmp_path: Path) -> None:
    """Nothing is sent or written; the pilot that fits a limit of requests is said."""
    told = tuned(tmp_path, "--dry-run", "--max-requests", "3000")
    assert told.returncode == 0, told.stderr
    assert "to keep to --max-requests" in told.stdout
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--top-p", "1.5"), "--top-p 1.5: give numbers from 0 to 1"),
        (("--temperature", "hot"), "numbers with commas between"),
        (("--eta", "1"), "--eta 1: give 2 or more"),
        (("--num-repeats", "1,2"), "a pair needs two rollouts"),
        (("--until-gap", "0.2"), "--until-gap: leave it out"),
        (("--metrics-port", "0"), "--metrics-port: leave it out"),
    ],
)
def test_bad_flags_are_one_line(words: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """Exit code 2, before anything is written."""
    told = tuned(tmp_path, *words)
    assert told.returncode == 2
    assert said in told.stderr
    assert told.stderr.count("\n") == 1
    assert not (tmp_path / "t").exists()
