"""`pairmill` as a user types it: the one-command run on the embedded model, and one clear line for each error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from pairing.formats import FORMATS
from pairing.options.flags import _FORMATS, _STRATEGIES
from pairing.strategies import STRATEGIES
from tests.model_server import ModelServer
from tests.runs import wait_for

CANARY = "canary-key-5f3a"


def pairmill(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pairing.cli", *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "COLUMNS": "100", "PYTHONPATH": str(Path(__file__).parent.parent), **environment},
        timeout=110,
    )


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().split(b"\n") if line]


@pytest.fixture(scope="module")
def embedded_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("run")
    return folder / "out", pairmill("run", "--output-dir", "out", "--limit", "40", cwd=folder)


Run = tuple[Path, subprocess.CompletedProcess[str]]


def test_one_command_gives_pairs(embedded_run: Run) -> None:
    """Rollouts in aabbcc order, pairs for over half of the prompts, both sides answers to the pair's own prompt."""
    out, done = embedded_run
    assert done.returncode == 0, done.stderr
    rollouts = rows_of(out / "rollouts.jsonl")
    keys = [(row["_ng_task_index"], row["_ng_rollout_index"]) for row in rollouts]
    assert keys == [(task, repeat) for task in range(40) for repeat in range(4)]
    answers: dict[str, set[str]] = {}
    for row in rollouts:
        answers.setdefault(row["prompt_id"], set()).add(row["output"][0]["content"])
    pairs = rows_of(out / "pairs.jsonl")
    assert len(pairs) > 20
    for pair in pairs:
        known = answers[pair["meta"]["prompt_id"]]
        assert pair["chosen"][0]["content"] in known
        assert pair["rejected"][0]["content"] in known
        assert pair["meta"]["chosen_reward"] - pair["meta"]["rejected_reward"] >= 0.15


def test_the_run_shows_what_a_user_wants_to_see(embedded_run: Run) -> None:
    """Bar, means, spread, funnel, a sample pair side by side, and where everything lies."""
    out, done = embedded_run
    for wanted in ("Found 40 rows!", '"reward":', "reward: mean", "with a pair", "chosen, reward", "rejected, reward"):
        assert wanted in done.stdout, wanted
    assert "160/160" in done.stderr
    assert f"pairs (trl) in {out.name}/pairs.jsonl" in done.stdout


def test_the_same_seed_gives_the_same_pairs_byte_for_byte(embedded_run: Run, tmp_path: Path) -> None:
    """Another run, another parallelism, the same bytes; another seed, other bytes."""
    out, _ = embedded_run
    for seed, same in (("0", True), ("1", False)):
        again = pairmill(
            "run", "--output-dir", f"s{seed}", "--limit", "40", "--seed", seed, "--num-samples-in-parallel", "7",
            cwd=tmp_path,
        )  # fmt: skip
        assert again.returncode == 0, again.stderr
        bytes_of_again = (tmp_path / f"s{seed}" / "pairs.jsonl").read_bytes()
        assert (bytes_of_again == (out / "pairs.jsonl").read_bytes()) is same


def test_a_second_run_overwrites_nothing(embedded_run: Run) -> None:
    """Without --overwrite the files stay as they are, and the message names the way on."""
    out, _ = embedded_run
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    done = pairmill("run", "--output-dir", "out", "--limit", "40", cwd=out.parent)
    assert_one_line(done, 1, "exists already", "--overwrite", "--resume")
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_an_overwritten_run_takes_its_pairs_along_at_its_first_rollout(tmp_path: Path) -> None:
    """Pairs of discarded rollouts must not stand beside new ones; those of rollouts that were put back stay."""
    words = ["run", "--output-dir", "out", "--limit", "8"]
    assert pairmill(*words, cwd=tmp_path).returncode == 0
    pairs, rollouts = tmp_path / "out" / "pairs.jsonl", tmp_path / "out" / "rollouts.jsonl"
    before = pairs.read_bytes(), rollouts.read_bytes()
    unreachable = pairmill(*words, "--overwrite", "--base-url", "http://127.0.0.1:9/v1", cwd=tmp_path)
    assert unreachable.returncode == 1
    hopeless = pairmill(*words, "--overwrite", "--max-output-tokens", "1000", cwd=tmp_path)
    assert hopeless.returncode == 1
    assert (pairs.read_bytes(), rollouts.read_bytes()) == before
    with ModelServer(latency=(0.05, 0.1)).serving() as server:
        asked = ("--overwrite", "--base-url", server.url, "--num-samples-in-parallel", "1")
        command = [sys.executable, "-m", "pairing.cli", *words, *asked]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
        with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL) as killed:
            wait_for(lambda: server.requests >= 4)
            killed.kill()
    assert not pairs.exists()
    assert len(rows_of(rollouts)) >= 1


def test_resuming_a_finished_run_changes_no_rollout(embedded_run: Run) -> None:
    """--resume finds nothing to do, whatever port the embedded server has this time, and pairs again."""
    out, _ = embedded_run
    before = {name: (out / name).read_bytes() for name in ("rollouts.jsonl", "pairs.jsonl")}
    done = pairmill("run", "--output-dir", "out", "--limit", "40", "--resume", cwd=out.parent)
    assert done.returncode == 0, done.stderr
    assert {name: (out / name).read_bytes() for name in before} == before
    assert "rollouts: 160 of 160, all of them there before" in done.stdout


def test_pairing_alone_reads_what_the_run_wrote(embedded_run: Run, tmp_path: Path) -> None:
    """`pairmill pair` on the sealed file gives the run's pairs; a gap that none has gives none and exit code 3."""
    out, _ = embedded_run
    source = str(out / "rollouts.jsonl")
    done = pairmill("pair", "--input", source, "--output", "p.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "p.jsonl").read_bytes() == (out / "pairs.jsonl").read_bytes()
    none = pairmill("pair", "--input", source, "--output", "none.jsonl", "--min-gap", "5", cwd=tmp_path)
    assert none.returncode == 3
    assert "gap_below_min" in none.stdout
    assert "hint:" in none.stdout


def test_pairs_of_a_run_that_was_cut_short_are_told_as_such(embedded_run: Run, tmp_path: Path) -> None:
    """Nothing in the rows says that there should be more; the run file does, and the exit code stays 0."""
    out, _ = embedded_run
    (tmp_path / "rollouts.jsonl").write_bytes((out / "rollouts.jsonl").read_bytes())
    run = orjson.loads((out / "rollouts.run.json").read_bytes())
    for state, said in (("finished", ""), ("interrupted", "note: rollouts.jsonl: its run has not ended")):
        (tmp_path / "rollouts.run.json").write_bytes(orjson.dumps({**run, "state": state}))
        done = pairmill("pair", "--input", "rollouts.jsonl", "--output", f"{state}.jsonl", cwd=tmp_path)
        assert (done.returncode, done.stderr[: len(said)] if said else done.stderr) == (0, said)


def test_the_flags_name_every_strategy_and_format() -> None:
    """The names written out for a quick --help are those of the registries."""
    assert set(_STRATEGIES) == set(STRATEGIES)
    assert set(_FORMATS) == set(FORMATS)


def assert_one_line(done: subprocess.CompletedProcess[str], code: int, *wanted: str) -> None:
    assert done.returncode == code, done.stderr + done.stdout
    message = done.stderr.strip()
    assert message.startswith("pairmill: error: ")
    assert "\n" not in message
    assert "Traceback" not in message
    for word in wanted:
        assert word in message


@pytest.mark.parametrize(
    ("words", "code", "wanted"),
    [
        (["collect", "--input", "missing.jsonl"], 1, ["missing.jsonl", "no such file"]),
        (["collect", "--input", "bad.jsonl"], 1, ["bad.jsonl:2", "no prompt"]),
        (["collect", "--input", "."], 1, ["is a folder"]),
        (["collect", "--input", "good.jsonl", "--num-repeat", "3"], 2, ["unrecognized arguments: --num-repeat"]),
        (
            ["collect", "--input", "good.jsonl", "--temprature", "1"],
            2,
            ["mean --temperature", "pairmill collect --help"],
        ),
        (["collect", "--input", "table.csv"], 1, ["table.csv:1", "each line is one JSON object"]),
        (["collect", "--input", "good.jsonl", "--model", "gpt-9"], 1, ["gpt-9", "test-model"]),
        (["collect", "--input", "good.jsonl", "--verifier", "numerical"], 2, ["numerical", "numeric"]),
        (["collect", "--input", "good.jsonl", "--verifier", "exact:field=gold"], 1, ["good.jsonl:1", "gold"]),
        (["collect", "--input", "good.jsonl", "--output", "good.jsonl/x.jsonl"], 1, ["good.jsonl"]),
        (["run", "--output-dir", "o", "--input", "good.jsonl"], 2, ["no verifier", "--verifier"]),
        (["run"], 2, ["--output-dir"]),
        (["pair", "--input", "missing.jsonl", "--output", "p"], 1, ["missing.jsonl"]),
        (["pair", "--input", "good.jsonl", "--output", "good.jsonl"], 1, ["good.jsonl"]),
        (["frobnicate"], 2, ["frobnicate"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_each_error_is_one_clear_line(tmp_path: Path, words: list[str], code: int, wanted: list[str]) -> None:
    """File and line, flag and value, what to do: and no traceback."""
    (tmp_path / "good.jsonl").write_text('{"prompt": "a", "expected_answer": "b"}\n')
    (tmp_path / "bad.jsonl").write_text('{"prompt": "a"}\n{"question": "b"}\n')
    (tmp_path / "table.csv").write_text("question,answer\n1+1,2\n")
    server = ModelServer()
    with server.serving():
        more = []
        if words[0] == "collect":
            more = ["--base-url", server.url] + ([] if "--output" in words else ["--output", "r.jsonl"])
        assert_one_line(pairmill(*words, *more, cwd=tmp_path), code, *wanted)
    assert not server.prompts


def test_an_unreachable_server_and_a_wrong_key(tmp_path: Path) -> None:
    """The address, the status and the flag are named; the key is not."""
    (tmp_path / "good.jsonl").write_text('{"prompt": "a"}\n')
    words = ["collect", "--input", "good.jsonl", "--output", "r.jsonl", "--base-url"]
    assert_one_line(pairmill(*words, "http://127.0.0.1:9/v1", cwd=tmp_path), 1, "127.0.0.1:9")
    server = ModelServer(api_key="another")
    with server.serving():
        assert_one_line(pairmill(*words, server.url, cwd=tmp_path), 1, "401", "--api-key-env")
        done = pairmill(*words, server.url, "--api-key-env", "KEY", cwd=tmp_path, KEY=CANARY)
        assert_one_line(done, 1, "401")
        assert CANARY not in done.stderr + done.stdout


def test_a_key_reaches_the_server_and_nothing_else(tmp_path: Path) -> None:
    """A planted key is in no file and on no screen after a run with faults."""
    (tmp_path / "good.jsonl").write_text("".join(f'{{"prompt": "{i}"}}\n' for i in range(20)))
    server = ModelServer(api_key=CANARY, fault_every=7)
    with server.serving():
        done = pairmill(
            "collect", "--input", "good.jsonl", "--output", "out/r.jsonl", "--base-url", server.url,
            "--api-key-env", "KEY", cwd=tmp_path, KEY=CANARY,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert CANARY not in done.stderr + done.stdout
    written = list((tmp_path / "out").iterdir())
    assert len(written) >= 3
    assert all(CANARY.encode() not in path.read_bytes() for path in written)


@pytest.mark.parametrize("words", [["--help"], ["run", "--output-dir", "out", "--limit", "3"]])
def test_a_full_standard_output_is_one_line(tmp_path: Path, words: list[str]) -> None:
    """What the disk did not take is said; the run's files are there all the same."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pairing.cli", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
            timeout=60,
        )
    assert done.returncode == 1
    assert "standard output: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "out" / "pairs.jsonl").exists() is (words[0] == "run")


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    """`pairmill ... | head -1` ends quietly."""
    done = subprocess.run(
        f"{sys.executable} -m pairing.cli collect --help | head -1",
        shell=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        timeout=60,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("usage: pairmill collect")
