"""Scoring again as a command: killed at any moment and resumed, it loses and doubles nothing."""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.commands import Commands, commands
from tests.faults.runs import collect_words
from tests.model_server import ModelServer
from tests.reverify.make import lines_of, prompts
from tests.reverify.test_reverify import sealed_key

_PROMPTS = 60
_SLOW = "python:tests.reverify.scorers:slow"


@pytest.fixture(scope="module")
def pairmill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with commands(tmp_path_factory.mktemp("commands")) as nursery:
        yield nursery


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory, pairmill: Commands) -> Path:
    folder = tmp_path_factory.mktemp("collected")
    output = folder / "rollouts.jsonl"
    with ModelServer().serving() as server:
        done = pairmill.run(*collect_words(prompts(folder / "in.jsonl", _PROMPTS), output, server.url))
    assert done.code == 0, done.err
    return output


def words(source: Path, output: Path, *more: str) -> list[str | Path]:
    return [
        "collect", "--reverify", "--input", source, "--output", output, "--verifier", _SLOW,
        "--num-samples-in-parallel", "4", *more,
    ]  # fmt: skip


def test_kill_and_resume(tmp_path: Path, collected: Path, pairmill: Commands) -> None:
    """Eight kills at random moments: what the bar had counted is there after each, and the end is that of one run."""
    whole = tmp_path / "whole.jsonl"
    done = pairmill.run(*words(collected, whole))
    assert done.code == 0, done.err
    output = tmp_path / "killed.jsonl"
    counted: set[tuple[int, int]] = set()
    rng = random.Random(5)
    for kill in range(8):
        run = pairmill.start(*words(collected, output, *(["--resume"] if kill else [])))
        moment = rng.randrange(1, 12)
        run.until(lambda run=run, moment=moment: len(run.reports()) >= moment)  # type: ignore[misc]
        run.signal(signal.SIGKILL)
        assert run.wait().code == -signal.SIGKILL
        counted |= set(run.acknowledged())
        whole_lines = output.read_bytes().split(b"\n")[:-1]  # behind the last newline a torn line may stand
        assert counted <= {sealed_key(line) for line in whole_lines}
    done = pairmill.run(*words(collected, output, "--resume"))
    assert done.code == 0, done.err
    assert output.read_bytes() == whole.read_bytes()
    assert len(lines_of(output)) == 2 * _PROMPTS


def test_control_c_and_the_flag(tmp_path: Path, collected: Path, pairmill: Commands) -> None:
    """The first Ctrl-C drains, with the exit code and the command that goes on; flags for a server are refused."""
    output = tmp_path / "out.jsonl"
    run = pairmill.start(*words(collected, output))
    run.until(lambda: len(run.reports()) >= 5)
    run.signal(signal.SIGINT)
    done = run.wait()
    assert done.code == 130
    assert "--resume" in done.err
    assert len(lines_of(output)) == len(run.acknowledged()) < 2 * _PROMPTS
    refused = pairmill.run(*words(collected, output, "--base-url", "http://127.0.0.1:9/v1"))
    assert "--base-url: leave it out: --reverify asks no server" in refused.one_line(2)
    same = pairmill.run(*words(collected, collected, "--overwrite"))
    assert "is the input file" in same.one_line(2)
