"""A disk that fails while a run with early stop ends: one line, and --resume has the same in the end."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from tests.early_stop.test_command import _answers
from tests.faults.commands import Commands
from tests.faults.runs import collect_words, rows_in, write_prompts
from tests.model_server import ModelServer


def _words(folder: Path, name: str, url: str, *more: str) -> list[str | Path]:
    words = collect_words(folder / "in.jsonl", folder / name / "rollouts.jsonl", url, *more)
    at = words.index("--num-repeats")
    words[at : at + 2] = ["--max-repeats", "7", "--until-gap", "0.5"]
    return words


@pytest.mark.parametrize("code", [0, errno.ENOSPC])
def test_the_end_of_a_run_that_cannot_be_written(tmp_path: Path, pairmill: Commands, code: int) -> None:
    """Each file that is put in place, in turn, is not: by an error, or by a kill in that moment. Nothing is lost, and
    the next run writes decisions and groups as one that nobody disturbed."""
    write_prompts(tmp_path / "in.jsonl", 10)
    ends = []
    with ModelServer().serving() as server:
        assert pairmill.run(*_words(tmp_path, "calm", server.url)).code == 0
        for nth in range(1, 20):
            done = pairmill.run(*_words(tmp_path, str(nth), server.url), fault=("replace", nth, code))
            ends.append(done.code)
            if done.code == 0:
                break
            if code:
                assert "No space left" in done.one_line()
            assert pairmill.run(*_words(tmp_path, str(nth), server.url, "--resume")).code == 0
            assert _found(tmp_path / str(nth)) == _found(tmp_path / "calm")
    assert ends == [1 if code else -9] * 5 + [0]  # the run file at the start and twice at the end, decisions, rollouts


def _found(folder: Path) -> tuple[list[Any], list[Any]]:
    return _answers(folder / "rollouts.jsonl"), rows_in(folder / "rollouts_decisions.jsonl")
