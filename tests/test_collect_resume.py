"""Runs that end early, and go on: a dead server, signals, kills, a verifier that is gone, changed settings."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from collector.collecting import collect
from collector.errors import OutputError, ResumeError, ServerError
from tests.model_server import ModelServer
from tests.runs import QUICK, VERIFIER, Notes, assert_sealed, command_env, prompts, rows_of, settings, wait_for


async def test_existing_output_is_kept_unless_told(tmp_path: Path) -> None:
    """Without a flag nothing is touched; --overwrite starts again; --resume of a finished run asks for nothing."""
    prompts(tmp_path / "in.jsonl", 3)
    server = ModelServer()
    with server.serving():
        first = await collect(settings(tmp_path, server))
        before = first.paths.rollouts.read_bytes()
        with pytest.raises(OutputError, match="--resume.*--overwrite|--overwrite.*--resume"):
            await collect(settings(tmp_path, server))
        assert first.paths.rollouts.read_bytes() == before
        asked = server.requests
        again = await collect(settings(tmp_path, server, resume=True))
        assert (server.requests, again.rollouts) == (asked, 12)
        assert first.paths.rollouts.read_bytes() == before
        await collect(settings(tmp_path, server, overwrite=True))
        assert server.requests == asked + 12


async def test_resume_tries_what_failed_again_and_only_that(tmp_path: Path) -> None:
    """After a run with failures, --resume asks for the missing rollouts and completes their groups."""
    prompts(tmp_path / "in.jsonl", 10)
    server = ModelServer(always_fail="question 3")
    with server.serving():
        first = await collect(settings(tmp_path, server))
        assert (first.rollouts, first.failed) == (36, 4)
        server.always_fail = ""
        asked = server.requests
        second = await collect(settings(tmp_path, server, resume=True))
    assert server.requests == asked + 4
    assert (second.rollouts, second.failed) == (40, 0)
    assert len(assert_sealed(second, 4)) == 40


async def test_resume_refuses_other_settings_and_another_input(tmp_path: Path) -> None:
    """The difference is named; nothing is asked of the server's model."""
    prompts(tmp_path / "in.jsonl", 3)
    server = ModelServer()
    with server.serving():
        await collect(settings(tmp_path, server, params={"temperature": 0.5}))
        asked = server.requests
        with pytest.raises(ResumeError, match="temperature.*0.5.*0.9"):
            await collect(settings(tmp_path, server, params={"temperature": 0.9}, resume=True))
        prompts(tmp_path / "in.jsonl", 3, word="other")
        with pytest.raises(ResumeError, match="input"):
            await collect(settings(tmp_path, server, params={"temperature": 0.5}, resume=True))
    assert server.requests == asked


async def test_a_score_that_changed_is_told_on_resume(tmp_path: Path) -> None:
    """Mending a function that raised is why one resumes: it is allowed, and the rows with old rewards are counted."""
    prompts(tmp_path / "in.jsonl", 4)
    code = tmp_path / "mine.py"
    code.write_text("def score(row, text):\n    return 1 / (row['id'] != 'row-2')\n")
    server = ModelServer()
    with server.serving():
        asked = settings(tmp_path, server, verifier=f"python:{code}:score")
        assert (await collect(asked)).failures == {"verifier": 4}
        same, changed = Notes(), Notes()
        await collect(replace(asked, resume=True), observer=same)
        code.write_text("def score(row, text):\n    return 0.5\n")
        result = await collect(replace(asked, resume=True), observer=changed)
    assert not [note for note in same.notes if "code has changed" in note]
    assert [note for note in changed.notes if "code has changed" in note and "12 rollouts keep" in note]
    assert (result.rollouts, result.resumed, result.failed) == (16, 12, 0)


class _StopAfter:
    """An observer that takes the server down after some rollouts, and counts those acknowledged."""

    def __init__(self, server: ModelServer, count: int) -> None:
        self.server, self.count, self.acknowledged = server, count, 0

    def rollout(self, *_: Any) -> None:
        self.acknowledged += 1
        if self.acknowledged == self.count:
            self.server.take_down()

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


async def test_a_server_that_dies_ends_the_run_with_a_clear_error_and_loses_nothing(tmp_path: Path) -> None:
    """After `dead_after` seconds without a connection the run stops; a new server and --resume finish it."""
    prompts(tmp_path / "in.jsonl", 200)
    server = ModelServer(latency=(0.005, 0.02))
    with server.serving():
        asked = settings(tmp_path, server, num_samples_in_parallel=4, endpoint_name="the-server")
        dying = _StopAfter(server, 60)
        with pytest.raises(ServerError, match="no connection for 0.5 seconds .*--resume"):
            await collect(asked, observer=dying)
    kept = len(rows_of(asked.output))
    assert dying.acknowledged <= kept < 800
    revived = ModelServer()
    with revived.serving():
        again = settings(tmp_path, revived, endpoint_name="the-server", resume=True)
        result = await collect(again)
    assert len(assert_sealed(result, 4)) == 800
    assert revived.requests == 800 - kept


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_command_goes_on_with_resume(tmp_path: Path, kill: signal.Signals) -> None:
    """Ctrl-C and SIGTERM drain and exit 130 with the resume command; kill -9 just ends; resuming completes each."""
    prompts(tmp_path / "in.jsonl", 100)
    server = ModelServer(latency=(0.01, 0.03))
    with server.serving():
        words = [
            sys.executable, "-m", "pairing.cli", "collect", "--input", str(tmp_path / "in.jsonl"), "--output",
            str(tmp_path / "r.jsonl"), "--base-url", server.url, "--verifier", VERIFIER,
            "--num-samples-in-parallel", "8",
        ]  # fmt: skip
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=command_env())
        wait_for(lambda: server.requests >= 60 or process.poll() is not None)
        process.send_signal(kill)
        _, err = process.communicate(timeout=60)
        if kill == signal.SIGKILL:
            assert process.returncode == -signal.SIGKILL
        else:
            assert process.returncode == 130, err
            assert "--resume" in err
            assert "Traceback" not in err
        assert len(rows_of(tmp_path / "r.jsonl")) < 400
        asked = server.requests
        done = subprocess.run([*words, "--resume"], capture_output=True, text=True, env=command_env(), timeout=100)
        assert done.returncode == 0, done.stderr
        assert server.requests < asked + 400
    rows = rows_of(tmp_path / "r.jsonl")
    assert [(row["_ng_task_index"], row["_ng_rollout_index"]) for row in rows] == [
        (task, repeat) for task in range(100) for repeat in range(4)
    ]


async def test_a_verifier_whose_server_is_gone_ends_the_run_and_one_that_comes_back_costs_nothing(
    tmp_path: Path,
) -> None:
    """Answers without a score would be spent for nothing all night; --resume goes on when it is there again."""
    prompts(tmp_path / "in.jsonl", 10)
    (tmp_path / "away.py").write_text(
        "import pathlib\n"
        "from collector.errors import VERIFIER_CONNECT, VerifierError\n"
        "calls = []\n"
        "def score(row, text):\n"
        "    calls.append(1)\n"
        "    gone = pathlib.Path(__file__).with_name('gone').exists() and len(calls) > 8\n"
        "    if gone or len(calls) in (3, 4, 5):\n"
        "        raise VerifierError('refused', failure_class=VERIFIER_CONNECT, retryable=True)\n"
        "    return 1.0\n"
    )
    (tmp_path / "gone").touch()
    server = ModelServer()
    with server.serving():
        asked = settings(tmp_path, server, verifier=f"python:{tmp_path / 'away.py'}:score", num_samples_in_parallel=4)
        with pytest.raises(ServerError, match=r"the verifier is gone for 0.5 seconds .*refused.*--resume"):
            await collect(replace(asked, retry=replace(QUICK, max_attempts=20)))
        (tmp_path / "gone").unlink()
        result = await collect(replace(asked, resume=True))
    assert (result.rollouts, result.failed) == (40, 0)
    assert_sealed(result, 4)
    assert {(row["failure_class"], row["final"]) for row in rows_of(result.paths.failures)} == {
        ("verifier_connect", False)
    }


async def test_a_larger_limit_adds_prompts_and_a_smaller_one_is_refused(tmp_path: Path) -> None:
    """A run of some prompts goes on to more of them, however it ended; one to fewer would have to drop rows."""
    prompts(tmp_path / "in.jsonl", 10)
    server = ModelServer()
    with server.serving():
        first = await collect(settings(tmp_path, server, limit=3))
        assert (first.rollouts, server.requests) == (12, 12)
        second = await collect(settings(tmp_path, server, limit=7, resume=True))
        assert (second.rollouts, second.resumed, server.requests) == (28, 12, 28)
        assert len(assert_sealed(second, 4)) == 28
        with pytest.raises(ResumeError, match="limit: was 7, now 3"):
            await collect(settings(tmp_path, server, limit=3, resume=True))
        whole = await collect(settings(tmp_path, server, resume=True))
        assert len(assert_sealed(whole, 4)) == 40
        with pytest.raises(ResumeError, match="limit: was null, now 7"):
            await collect(settings(tmp_path, server, limit=7, resume=True))
    assert server.requests == 40


async def test_a_run_goes_on_at_another_server_of_the_same_model(tmp_path: Path) -> None:
    """A node that died takes no rollouts with it: the model is what counts. It is told, and each row names its own."""
    prompts(tmp_path / "in.jsonl", 4)
    first, second, other = ModelServer(always_fail="question 2"), ModelServer(), ModelServer(models=("another",))
    with first.serving(), second.serving(), other.serving():
        await collect(settings(tmp_path, first, replica_urls=(second.url,), num_samples_in_parallel=1))
        first.always_fail = ""
        with pytest.raises(ResumeError, match="model: was .*test-model.*, now .*another"):
            await collect(settings(tmp_path, other, resume=True))
        watching = Notes()
        result = await collect(settings(tmp_path, second, resume=True), observer=watching)
    assert [note for note in watching.notes if f"was served by {first.url}" in note and second.url in note]
    assert len(assert_sealed(result, 4)) == 16
    assert {row["endpoint"] for row in rows_of(result.paths.rollouts)} <= {first.url, second.url}
