"""`pairmill pair`, and the pairing half of `pairmill run`: signals, closed pipes, full disks, wrong flags."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pairing.build import build_pairs
from pairing.run import ended_by_signals
from pairing.strategies import BestWorst, Choice, Pool
from tests.pairing.make import gym_row, our_row, write_rows

ROOT = Path(__file__).parents[2]
PAIRMILL = [sys.executable, "-m", "pairing.cli"]
ENVIRONMENT = {**os.environ, "COLUMNS": "100", "PYTHONPATH": str(ROOT)}


def pairmill(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PAIRMILL, *words], capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT, timeout=60, check=False
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--min-gap", "nan"], "--min-gap nan: give a number, 0 or more"),
        (["--num-repeats", "1"], "--num-repeats 1: a pair needs two rollouts of a prompt: give 2 or more"),
        (["--require-complete", "1"], "--require-complete 1: give 2 or more"),
        (["--require-complete", "8"], "--require-complete 8: --num-repeats 4 gives fewer"),
    ],
)
def test_run_checks_the_pairing_flags_before_it_collects(tmp_path: Path, words: list[str], wanted: str) -> None:
    """A night of requests is not spent first."""
    done = pairmill("run", "--output-dir", "out", *words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, f"pairmill: error: {wanted}\n")
    assert names(tmp_path) == []


@pytest.mark.parametrize("words", [["--protocol", "agent"], ["--protocol", "chat", "--agent-name", "mine"]])
def test_an_agent_is_never_the_embedded_model(tmp_path: Path, words: list[str]) -> None:
    """Where flags speak of an agent that cannot be found, the embedded model does not answer in its place."""
    done = pairmill("run", "--output-dir", "out", *words, "--head-url", "http://127.0.0.1:9", cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert "agent" in done.stderr
    assert done.stderr.count("\n") == 1
    assert names(tmp_path) == []


@pytest.mark.parametrize("closed", ["stdout", "both"])
def test_a_reader_that_leaves_does_not_cost_the_pairs(tmp_path: Path, closed: str) -> None:
    """`pairmill run ... | head`: the work goes on when nobody listens, and the exit code is that of the work."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*PAIRMILL, "run", "--output-dir", "out", "--limit", "8"],
        stdout=writer,
        stderr=writer if closed == "both" else subprocess.PIPE,
        cwd=tmp_path,
        env=ENVIRONMENT,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 0
    assert (tmp_path / "out" / "pairs.jsonl").stat().st_size > 0
    assert b"Traceback" not in (done.stderr or b"")


def test_closed_descriptors_are_no_reason_to_fail(tmp_path: Path) -> None:
    """A daemon may have no stdout at all."""
    write_rows(tmp_path / "r.jsonl", our_row(0, 0, 1.0), our_row(0, 1, 0.0))
    command = f"exec {sys.executable} -m pairing.cli pair --input r.jsonl --output pairs.jsonl >&- 2>&-"
    done = subprocess.run(command, shell=True, cwd=tmp_path, env=ENVIRONMENT, timeout=60, check=False)
    assert done.returncode == 0
    assert names(tmp_path) == ["pairs.jsonl", "r.jsonl"]


@pytest.mark.parametrize("rows", [300, 3])
@pytest.mark.parametrize("late_tools", [True, False])
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path, rows: int, late_tools: bool) -> None:
    """The disk may refuse in a write, in a second pass, in a new column, or at the end: one error, no half file."""
    lines = [our_row(task, n, float(n), f"{n} " * 5000) for task in range(rows) for n in (0, 1)]
    if late_tools:
        tooled = [gym_row(rows, n, float(n), f"{n} " * 9000) for n in (0, 1)]
        for row in tooled:
            row["responses_create_params"]["tools"] = [{"type": "function", "name": "f"}]
        lines += tooled
    write_rows(tmp_path / "r.jsonl", *lines, *([our_row(0, 2, 0.5)] if rows == 300 else []))
    done = subprocess.run(
        [*PAIRMILL, "pair", "--input", "r.jsonl", "--output", "pairs.jsonl"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=ENVIRONMENT,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    assert (done.returncode, done.stderr) == (
        1,
        "pairmill: error: pairs.jsonl: cannot be written: File too large (--output)\n",
    )
    assert names(tmp_path) == ["r.jsonl"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_half_file(tmp_path: Path, number: signal.Signals) -> None:
    """A signal in the middle of the work ends it, with neither the output nor its draft left; the handlers that stood
    before stand again."""

    class Interrupted(BestWorst):
        def pick(self, pool: Pool) -> Sequence[Choice] | str:
            os.kill(os.getpid(), number)
            return super().pick(pool)

    source = write_rows(tmp_path / "r.jsonl", our_row(0, 0, 1.0), our_row(0, 1, 0.0))
    before = signal.getsignal(number)
    ended = KeyboardInterrupt if number == signal.SIGINT else SystemExit
    with pytest.raises(ended) as raised, ended_by_signals():
        build_pairs(source, tmp_path / "pairs.jsonl", strategy=Interrupted())
    if isinstance(raised.value, SystemExit):
        assert raised.value.code == 128 + number
    assert signal.getsignal(number) == before
    assert names(tmp_path) == ["r.jsonl"]


def test_a_pipe_as_input_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """Pairing may read its input twice, which a pipe cannot give."""
    os.mkfifo(tmp_path / "pipe")
    done = pairmill("pair", "--input", "pipe", "--output", "p", cwd=tmp_path)
    assert done.returncode == 1
    assert "pipe: no regular file; pairing may read twice: save what a pipe gives to a file first" in done.stderr


def test_a_folder_as_input_is_refused_with_the_file_to_give(tmp_path: Path) -> None:
    """The folder of a run is not its rollouts."""
    (tmp_path / "out").mkdir()
    done = pairmill("pair", "--input", "out", "--output", "p", cwd=tmp_path)
    wanted = "pairmill: error: out: is a folder: give a file in it, such as out/rollouts.jsonl (--input)\n"
    assert (done.returncode, done.stderr) == (1, wanted)


def test_a_wrong_input_does_not_block_the_right_command(tmp_path: Path) -> None:
    """A prompts file given by mistake leaves nothing behind."""
    write_rows(tmp_path / "prompts.jsonl", {"prompt": "a", "expected_answer": "b"})
    done = pairmill("pair", "--input", "prompts.jsonl", "--output", "pairs.jsonl", cwd=tmp_path)
    assert done.returncode == 3
    assert names(tmp_path) == ["prompts.jsonl"]
    write_rows(tmp_path / "r.jsonl", our_row(0, 0, 1.0), our_row(0, 1, 0.0))
    done = pairmill("pair", "--input", "r.jsonl", "--output", "pairs.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_file_names_cannot_steer_the_terminal(tmp_path: Path) -> None:
    """Escapes and newlines in a path come out of messages, which stay one line each."""
    done = pairmill("pair", "--input", "no\n\x1b[31mfile", "--output", "p", cwd=tmp_path)
    assert done.stderr == "pairmill: error: no file: no such file (--input)\n"
    write_rows(tmp_path / "r.jsonl", our_row(0, 0))
    done = pairmill("pair", "--input", "r.jsonl", "--output", "p\n\x1b[31mairs", cwd=tmp_path)
    assert done.stdout.endswith("\n0 pairs (trl) in p airs\n")


def test_hints_wrap_between_words(tmp_path: Path) -> None:
    """A hint is as wide as the terminal, and a flag in it is never broken in two."""
    write_rows(tmp_path / "r.jsonl", *(our_row(task, n, 0.5, "same") for task in range(5) for n in (0, 1)))
    done = pairmill("pair", "--input", "r.jsonl", "--output", "p", cwd=tmp_path)
    hint = done.stdout[done.stdout.index("hint: ") :]
    assert max(map(len, hint.splitlines())) <= 100
    assert "raise --num-repeats (4)." in " ".join(hint.split())


def test_files_are_named_as_a_list(tmp_path: Path) -> None:
    """Three of them have commas and one `and`."""
    write_rows(tmp_path / "r.jsonl", *(our_row(task, n, n) for task in range(20) for n in (0, 1)))
    done = pairmill("pair", "--input=r.jsonl", "--output=p.jsonl", "--validation=0.3", "--card", cwd=tmp_path)
    assert " in p.train.jsonl, p.validation.jsonl and README.md" in done.stdout
