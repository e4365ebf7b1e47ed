"""Early stop from the command line, on the embedded model: killed, resumed, beside a fixed run, and what is refused."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.faults.commands import Commands
from tests.faults.runs import VOLATILE, collect_words, rows_in, write_prompts
from tests.model_server import ModelServer

_LIMIT = 40
_STOP = ("--until-gap", "0.3", "--max-repeats", "6", "--futile-after", "4", "--temperature", "0.5")


def _run(pairmill: Commands, folder: Path, *words: str) -> Path:
    done = pairmill.run(
        "run", "--output-dir", "out", "--limit", str(_LIMIT), *words, folder=folder, OPENBLAS_NUM_THREADS="1"
    )
    assert done.code == 0, done.err
    return folder / "out"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, pairmill: Commands) -> Path:
    return _run(pairmill, tmp_path_factory.mktemp("undisturbed"), *_STOP)


def _stable(path: Path) -> list[dict[str, Any]]:
    """The rollouts without what is measured or numbered anew, and which of several equal texts came later."""
    rows = [{name: value for name, value in row.items() if name not in VOLATILE} for row in rows_in(path)]
    for row in rows:
        for name in ("id", "created"):
            row["response"].pop(name, None)
        row["flags"] = [flag for flag in row.get("flags", ()) if flag != "identical"]
    return rows


def test_kills_change_neither_decisions_nor_pairs(tmp_path: Path, pairmill: Commands, undisturbed: Path) -> None:
    """Killed with SIGKILL in the middle, each time gone on with --resume: decisions and pairs are the same bytes."""
    words = ("run", "--output-dir", "out", "--limit", str(_LIMIT), "--num-samples-in-parallel", "2", *_STOP, "--resume")
    rollouts, whole = tmp_path / "out" / "rollouts.jsonl", len(rows_in(undisturbed / "rollouts.jsonl"))
    for count in (3, 20, 50):
        run = pairmill.start(*words, folder=tmp_path, OPENBLAS_NUM_THREADS="1")
        run.until(lambda enough=count: rollouts.exists() and rollouts.read_bytes().count(b"\n") >= enough)  # type: ignore[misc]
        run.signal(signal.SIGKILL)
        assert run.wait().code == -signal.SIGKILL
        assert count <= rollouts.read_bytes().count(b"\n") <= whole
    done = pairmill.run(*words, folder=tmp_path, OPENBLAS_NUM_THREADS="1")
    assert done.code == 0, done.err
    for name in ("rollouts_decisions.jsonl", "pairs.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (undisturbed / name).read_bytes()
    assert _stable(rollouts) == _stable(undisturbed / "rollouts.jsonl")


def test_its_rollouts_are_a_part_of_the_fixed_runs(tmp_path: Path, pairmill: Commands, undisturbed: Path) -> None:
    """Each answer of it is the fixed run's answer of that prompt and repeat, byte for byte; and every prompt that has a
    pair of that gap among six has one here, but for those given up."""
    fixed = _run(pairmill, tmp_path, "--num-repeats", "6", "--temperature", "0.5")
    there = {(row["_ng_task_index"], row["_ng_rollout_index"]): row for row in _stable(fixed / "rollouts.jsonl")}
    rows = _stable(undisturbed / "rollouts.jsonl")
    assert 2 * _LIMIT < len(rows) < len(there) == 6 * _LIMIT
    assert all(row == there[row["_ng_task_index"], row["_ng_rollout_index"]] for row in rows)
    for decision in rows_in(undisturbed / "rollouts_decisions.jsonl"):
        rewards = [there[decision["_ng_task_index"], repeat]["reward"] for repeat in range(6)]
        usable = max(rewards) - min(rewards) >= 0.3
        assert (decision["stopped"] == "usable") is usable or decision["stopped"] == "futile"


def test_kills_of_a_run_in_which_samples_fail(tmp_path: Path, pairmill: Commands) -> None:
    """Samples that fail for good whenever they are asked, and a SIGKILL at random points: in the end the decisions, the
    whole groups and those with holes are an undisturbed run's."""
    source = write_prompts(tmp_path / "in.jsonl", 30)
    rng = random.Random(5)
    with ModelServer(latency=(0.0, 0.004)).serving() as server:

        def words(folder: str, *more: str) -> list[str | Path]:
            found = collect_words(source, tmp_path / folder / "rollouts.jsonl", server.url, *more)
            at = found.index("--num-repeats")
            found[at : at + 2] = ["--max-repeats", "7", "--until-gap", "0.5"]
            found[found.index("--verifier") + 1] = "python:tests.early_stop.test_runs:score_but"
            return found

        calm = pairmill.run(*words("calm"))
        assert calm.code == 3, calm.err
        rollouts = tmp_path / "killed" / "rollouts.jsonl"
        for _ in range(6):
            enough = server.requests + rng.randint(1, 25)
            run = pairmill.start(*words("killed", "--resume"))
            run.until(lambda enough=enough: server.requests >= enough)  # type: ignore[misc]
            run.signal(signal.SIGKILL)
            run.wait()
        assert pairmill.run(*words("killed", "--resume")).code == 3
    for name in ("rollouts", "rollouts_incomplete"):
        ours, theirs = (_answers(tmp_path / folder / f"{name}.jsonl") for folder in ("killed", "calm"))
        assert ours == theirs
        assert ours
    decisions = "rollouts_decisions.jsonl"
    assert rollouts.with_name(decisions).read_bytes() == (tmp_path / "calm" / decisions).read_bytes()


def _answers(path: Path) -> list[tuple[int, int, str, str]]:
    return [
        (row["_ng_task_index"], row["_ng_rollout_index"], row["output"][-1]["content"], row.get("_incomplete", ""))
        for row in rows_in(path)
    ]


def test_the_end_tells_what_stopped(tmp_path: Path, pairmill: Commands) -> None:
    """By reason, with what was spared; and pairing takes whole groups for what they are."""
    done = pairmill.run(
        "run", "--output-dir", "out", "--limit", "10", *_STOP, "--require-complete", "6", folder=tmp_path,
        OPENBLAS_NUM_THREADS="1",
    )  # fmt: skip
    decisions = rows_in(tmp_path / "out" / "rollouts_decisions.jsonl")
    usable = sum(each["stopped"] == "usable" for each in decisions)
    made = sum(each["rollouts"] for each in decisions)
    assert done.code == 0, done.err
    assert f"  early stop: usable {usable}" in done.out
    assert f"of 10 prompts; {60 - made} of 60 rollouts spared (out/rollouts_decisions.jsonl)" in done.out
    assert len(rows_in(tmp_path / "out" / "pairs.jsonl")) >= usable > 0


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--until-gap", "0.3", "--num-repeats", "4"), "--num-repeats and --until-gap: give one"),
        (("--until-gap", "0.3", "--num-repeats", "{a: 2, _default: 3}"), "--num-repeats and --until-gap: give one"),
        (("--max-repeats", "4"), "--max-repeats 4: goes with --until-gap"),
        (("--until-gap", "0.1"), "--until-gap 0.1: pairs need --min-gap 0.15"),
        (("--until-gap", "0.3", "--min-chosen-reward", "0.5"), "give --min-chosen 0.5 too"),
        (("--until-gap", "0.3", "--max-repeats", "4", "--require-complete", "5"), "--max-repeats 4 gives fewer"),
        (("--until-gap", "wide"), "--until-gap: 'wide': give a number"),
    ],
)
def test_flags_that_contradict_each_other(
    tmp_path: Path, pairmill: Commands, words: tuple[str, ...], problem: str
) -> None:
    """One line each, before anything is asked or written."""
    done = pairmill.run("run", "--output-dir", "out", *words, folder=tmp_path)
    assert problem in done.one_line(2)
    assert not (tmp_path / "out").exists()


def test_scoring_again_takes_none_of_it(tmp_path: Path, pairmill: Commands, undisturbed: Path) -> None:
    """--reverify asks for nothing, so there is nothing to stop; groups of any size are scored again."""
    words: list[str | Path] = [
        "collect", "--reverify", "--input", undisturbed / "rollouts.jsonl", "--output", tmp_path / "again.jsonl",
        "--verifier", "embedded",
    ]  # fmt: skip
    assert "--until-gap: leave it out: --reverify" in pairmill.run(*words, "--until-gap", "0.3").one_line(2)
    done = pairmill.run(*words)
    assert done.code == 0, done.err
    rewards = [
        [row["reward"] for row in rows_in(path)] for path in (tmp_path / "again.jsonl", undisturbed / "rollouts.jsonl")
    ]
    assert rewards[0] == rewards[1]


def test_the_dry_run_says_the_plan(tmp_path: Path, pairmill: Commands, undisturbed: Path) -> None:
    """From how many to how many; of an output that is finished, that nothing is left."""
    done = pairmill.run("run", "--output-dir", "new", "--limit", "10", *_STOP, "--dry-run", folder=tmp_path)
    assert "rollouts     at most 60 (from 2 to 6 of each row)" in done.out
    assert (
        "early stop   at two rollouts whose rewards are at least 0.3 apart; or at 4 rewards that are all equal"
        in done.out
    )
    made = len(rows_in(undisturbed / "rollouts.jsonl"))
    again = pairmill.run(
        "run", "--output-dir", undisturbed, "--limit", str(_LIMIT), *_STOP, "--dry-run", "--resume", folder=tmp_path
    )
    assert "no request: every rollout is there already" in again.out
    assert f"rollouts     at most {made} (from 2 to 6 of each row)" in again.out


def test_a_config_files_repeats_give_way(tmp_path: Path, pairmill: Commands) -> None:
    """--until-gap on the command line takes the place of the file's num_repeats; both in the file are refused."""
    write_prompts(tmp_path / "in.jsonl", 2)
    words = ("collect", "--config", "run.toml", "--base-url", "http://127.0.0.1:1/v1", "--dry-run")
    head = 'input = "in.jsonl"\noutput = "out.jsonl"\nverifier = "python:tests.model_server:score"\nnum_repeats = 5\n'
    (tmp_path / "run.toml").write_text(head)
    done = pairmill.run(*words, "--until-gap", "0.3", folder=tmp_path)
    assert "at most 16 (from 2 to 8 of each row)" in done.out, done.err
    (tmp_path / "run.toml").write_text(head + "until_gap = 0.3\nmax_repeats = 6\n")
    assert "give one" in pairmill.run(*words, folder=tmp_path).one_line(2)
    assert "10 (5 of each row)" in pairmill.run(*words, "--num-repeats", "5", folder=tmp_path).out
