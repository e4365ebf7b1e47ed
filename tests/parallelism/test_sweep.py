"""Real sweeps: against the embedded model, and against a server whose timing and faults are known."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from collector.embedded.process import EmbeddedServer
from collector.embedded.tasks import prompt_rows
from collector.errors import OutputError, ResumeError, ServerError, UsageError
from collector.options.bench import _CACHE_MODES
from collector.parallelism import CACHE_MODES
from pairing.cli import main
from tests.model_server import ModelServer
from tests.parallelism.sweeps import requests_in, settings, summary_in, swept
from tests.runs import command_env, prompts, server_process, wait_for

FILES = {"requests.jsonl", "summary.json", "levels.csv", "report.md", "report.html"}


async def test_a_sweep_of_the_embedded_model(tmp_path: Path) -> None:
    """Every level has rollouts, tokens, rewards, pairs and the server's own word; the same prompts give the same
    rewards and lengths at each; the folder holds the five files and nothing else."""
    bundled = {"input": prompt_rows("train"), "verifier": "embedded", "params": {"temperature": 0.8}, "num_repeats": 4}
    async with EmbeddedServer() as server:
        done, _ = await swept(settings(tmp_path, server.base_url, bundled, levels=(1, 4, 16), level_seconds=0.4))
    found = done.summary
    assert found is not None
    assert {path.name for path in done.folder.iterdir()} == FILES
    assert [level.level for level in found.levels] == [1, 4, 16]
    for level in found.levels:
        assert level.in_flight_max == level.level
        assert level.rollouts >= 30
        assert level.tokens_per_s is not None
        assert level.reward is not None
        assert level.pairs
        assert level.running is not None
    assert found.facts["cache"] == "salt"
    assert found.reward is not None
    assert found.reward.widest == 0
    assert found.length is not None
    assert found.length.widest == 0
    assert found.recommendation is not None
    assert orjson.loads((done.folder / "summary.json").read_bytes())["state"] == "finished"


async def test_levels_have_the_same_tasks_with_the_same_seeds(tmp_path: Path) -> None:
    """What the server was asked at one level it was asked at the others, as far as these came; --cache-bust none adds
    nothing to the requests."""
    prompts(tmp_path / "in.jsonl", 500)
    with ModelServer(latency=(0.002, 0.004)).serving() as server:
        await swept(settings(tmp_path, server.url, cache="none"))
    seen = [count for _, count in server.seen.most_common(30)]
    assert seen == [3] * 30
    assert all("cache_salt" not in body for body in server.bodies)


async def test_disjoint_trials_never_ask_a_prompt_twice(tmp_path: Path) -> None:
    """By itself against a server that does not say that it knows cache_salt."""
    prompts(tmp_path / "in.jsonl", 2000)
    with ModelServer(latency=(0.01, 0.02)).serving() as server:
        done, kept = await swept(settings(tmp_path, server.url))
    assert done.summary is not None
    assert done.summary.facts["cache"] == "disjoint"
    assert set(server.seen.values()) == {1}
    assert sum(trial.prompts for trial in kept.trials) <= 2000
    groups = [record["task"] for record in requests_in(done.folder)]
    assert all(groups.count(task) <= 2 for task in set(groups))


async def test_records_tell_the_whole_story(tmp_path: Path) -> None:
    """One for each request, with its phase; windows come after warm-ups, tails after windows; no text in any."""
    prompts(tmp_path / "in.jsonl", 1000, word="a secret question")
    with ModelServer(latency=(0.005, 0.01)).serving() as server:
        done, kept = await swept(settings(tmp_path, server.url))
    records = requests_in(done.folder)
    assert len(records) == server.requests
    for trial in kept.trials:
        mine = [record for record in records if record["trial"] == trial.trial]
        measured = [record for record in mine if record["phase"] == "measured"]
        assert len(measured) == trial.rollouts
        ends = [record["sent"] + record["latency"] for record in measured]
        assert min(ends) >= trial.warmup_s - 1e-5
        assert max(ends) <= trial.warmup_s + trial.measured_s + 1e-5
        assert {record["level"] for record in mine} == {trial.level}
    assert all(b"secret" not in path.read_bytes() for path in done.folder.iterdir())


async def test_a_slow_client_is_told(tmp_path: Path) -> None:
    """A verifier that blocks the event loop: not the server's limit, and flagged as what it is."""
    prompts(tmp_path / "in.jsonl", 1000)
    slow = {"verifier": "python:tests.parallelism.sweeps:slow_score"}
    with ModelServer(latency=(0.005, 0.01)).serving() as server:
        done, _ = await swept(settings(tmp_path, server.url, slow, levels=(8,)))
    assert done.summary is not None
    assert "client_bound" in {flag.name for flag in done.summary.flags}


async def test_a_limit_that_keeps_requests_back_is_grave(tmp_path: Path) -> None:
    """Two endpoints that take one request each hold no eight in flight: the sweep says so, and recommends nothing."""
    prompts(tmp_path / "in.jsonl", 1000)
    with ModelServer(latency=(0.01, 0.02)).serving() as one, ModelServer(latency=(0.01, 0.02)).serving() as other:
        few = {"replica_urls": (other.url,), "parallel_per_endpoint": 1}
        done, _ = await swept(settings(tmp_path, one.url, few, levels=(8,)))
    assert done.summary is not None
    assert {flag.name for flag in done.summary.grave} == {"in_flight", "no_answer"}
    assert "--parallel-per-endpoint held requests back" in done.summary.grave[1].text


async def test_failures_are_counted_and_grave(tmp_path: Path) -> None:
    """Prompts that always fail are on record by class; the others go on."""
    path = prompts(tmp_path / "in.jsonl", 300)
    path.write_bytes(path.read_bytes().replace(b"question 7", b"question bad 7"))
    with ModelServer(latency=(0.002, 0.004), always_fail="bad").serving() as server:
        done, _ = await swept(settings(tmp_path, server.url, levels=(4,), level_seconds=0.5))
    assert done.summary is not None
    assert "failures" in {flag.name for flag in done.summary.grave}
    assert done.summary.levels[0].failures["http_400"] > 0
    assert done.summary.recommendation is not None


async def test_a_server_that_goes_away_ends_the_sweep_and_keeps_its_trials(tmp_path: Path) -> None:
    """One line that says so; what was whole by then is on disk, and --resume makes the rest."""
    prompts(tmp_path / "in.jsonl", 1000)
    given = settings(tmp_path, "", {"base_url": "http://127.0.0.1:1/v1"}, levels=(1, 2))
    with pytest.raises(ServerError, match="127.0.0.1:1"):
        await swept(given)
    with ModelServer(latency=(0.002, 0.004)).serving() as server:
        here = replace(given, collect=replace(given.collect, base_url=server.url))
        _, kept = await swept(here, after=1)
    assert len(kept.trials) == 1
    with pytest.raises(ServerError):
        await swept(replace(here, collect=replace(here.collect, resume=True)))
    assert len(summary_in(given.folder)["trials"]) == 1


async def test_an_interrupted_sweep_goes_on_with_the_levels_that_lack(tmp_path: Path) -> None:
    """Stopped after the second trial of six: those are kept as they were, the others are made, each once."""
    prompts(tmp_path / "in.jsonl", 1000)
    with ModelServer(latency=(0.002, 0.004)).serving() as server:
        given = settings(tmp_path, server.url, levels=(1, 2, 4), passes=2)
        first, kept = await swept(given, after=2)
        assert first.summary is None
        assert summary_in(given.folder)["state"] == "interrupted"
        again, rest = await swept(replace(given, collect=replace(given.collect, resume=True)))
    assert again.summary is not None
    assert len(rest.trials) == 4
    made = [(trial.part, trial.level) for trial in (*kept.trials, *rest.trials)]
    assert sorted(made) == [(part, level) for part in (1, 2) for level in (1, 2, 4)]
    kept_before = [trial["began"] for trial in summary_in(given.folder)["trials"][:2]]
    assert kept_before == [trial.began for trial in kept.trials]


def test_a_killed_sweep_goes_on(tmp_path: Path) -> None:
    """SIGKILL in the middle of a trial: half of its records may be on disk, and count for nothing afterwards."""
    source, folder = prompts(tmp_path / "in.jsonl", 1000), tmp_path / "bench"
    with server_process() as (_, url):
        words = [
            "bench", "--output-dir", str(folder), "--input", str(source), "--base-url", url, "--levels", "1,2,4",
            "--passes", "1", "--level-seconds", "0.3", "--verifier", "python:tests.model_server:score",
        ]  # fmt: skip
        command = [sys.executable, "-m", "pairing.cli", *words]
        with subprocess.Popen(command, env=command_env(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as one:
            wait_for(lambda: (folder / "summary.json").exists())
            os.kill(one.pid, signal.SIGKILL)
        before = summary_in(folder)["trials"]
        with (folder / "requests.jsonl").open("ab") as file:
            file.write(b'{"trial": 99, "level": 4, "phase": "measured", "task"')
        done = subprocess.run([*command, "--resume"], env=command_env(), capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("--num-samples-in-parallel ")
    after = summary_in(folder)
    assert after["trials"][: len(before)] == before
    assert sorted(trial["level"] for trial in after["trials"]) == [1, 2, 4]
    assert {record["trial"] for record in requests_in(folder)} == {trial["trial"] for trial in after["trials"]}


def test_ctrl_c_tells_how_to_go_on(tmp_path: Path) -> None:
    """Exit code 130, the trials that were whole on disk, the command that makes the others."""
    source, folder = prompts(tmp_path / "in.jsonl", 1000), tmp_path / "bench"
    with server_process() as (_, url):
        words = [
            "bench", "--output-dir", str(folder), "--input", str(source), "--base-url", url, "--levels", "1,2,4",
            "--passes", "9", "--level-seconds", "0.2", "--verifier", "python:tests.model_server:score",
        ]  # fmt: skip
        command = [sys.executable, "-m", "pairing.cli", *words]
        with subprocess.Popen(command, env=command_env(), stderr=subprocess.PIPE, text=True) as one:
            wait_for(lambda: (folder / "summary.json").exists())
            one.send_signal(signal.SIGINT)
            _, told = one.communicate(timeout=60)
    assert one.returncode == 130
    assert told.splitlines()[-1].endswith(" --resume")
    assert summary_in(folder)["state"] == "interrupted"


def test_a_dry_run_sends_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The levels and the first request of the embedded model's sweep."""
    assert main(["bench", "--output-dir", str(tmp_path / "b"), "--dry-run", "--max-level", "8"]) == 0
    shown = capsys.readouterr().out
    assert "1, 2, 4, 8, and closer around the knee" in shown
    assert "20 trials, about 34 s; those around the knee come on top" in shown
    assert "POST <embedded>/chat/completions" in shown
    assert not (tmp_path / "b").exists()


async def test_a_folder_that_holds_a_sweep_is_not_touched(tmp_path: Path) -> None:
    """Refused without a flag; --resume refuses other settings; --overwrite replaces it once it has something new."""
    prompts(tmp_path / "in.jsonl", 1000)
    with ModelServer(latency=(0.002, 0.004)).serving() as server:
        given = settings(tmp_path, server.url, levels=(2,))
        await swept(given)
        before = (given.folder / "summary.json").read_bytes()
        with pytest.raises(OutputError, match="exists already; go on with --resume, or start anew with --overwrite"):
            await swept(given)
        other = replace(given, level_seconds=0.3, collect=replace(given.collect, resume=True))
        with pytest.raises(ResumeError, match=r"level_seconds: was 0\.2, now 0\.3"):
            await swept(other)
        gone = replace(given.collect, overwrite=True, base_url="http://127.0.0.1:1/v1")
        with pytest.raises(ServerError):
            await swept(replace(given, collect=gone))
        assert (given.folder / "summary.json").read_bytes() == before
        await swept(replace(given, collect=replace(given.collect, overwrite=True)))
    assert (given.folder / "summary.json").read_bytes() != before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--levels", "1,two"], "--levels 1,two: give whole numbers"),
        (["--levels", "1", "--max-level", "4"], "--levels and --max-level: give one"),
        (["--num-samples-in-parallel", "8"], "--num-samples-in-parallel: leave it out: it is what bench finds"),
        (["--until-gap", "0.5"], "--until-gap: leave it out"),
        (["--level-seconds", "0"], "--level-seconds 0: give seconds"),
        (["--input", "no/such.jsonl", "--verifier", "numeric"], "no/such.jsonl: no such file"),
    ],
)
def test_bad_input_is_one_line(words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The flag, what is wrong, what to do; nothing is measured and no folder is made."""
    assert main(["bench", "--output-dir", str(tmp_path / "b"), *words]) in (1, 2)
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "b").exists()


def test_the_flag_knows_every_way_with_caches() -> None:
    """The names are written out twice, so that --help is quick."""
    assert _CACHE_MODES == CACHE_MODES


def test_a_salt_of_the_users_own_is_refused(tmp_path: Path) -> None:
    """It would undo what bench does."""
    with pytest.raises(UsageError, match="cache_salt: bench sets this itself"):
        settings(tmp_path, "http://127.0.0.1:1/v1", {"extra_body": {"cache_salt": "mine"}})


def test_keys_are_in_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the API key, not a header's value from the environment, not a password in the URL."""
    monkeypatch.setenv("SOME_KEY", "sk-very-secret")
    source = prompts(tmp_path / "in.jsonl", 1000)
    with ModelServer(latency=(0.002, 0.004), api_key="sk-very-secret").serving() as server:
        url = server.url.replace("://", "://user:hunter2@")
        code = main(
            ["bench", "--output-dir", str(tmp_path / "b"), "--input", str(source), "--base-url", url, "--levels", "1,2",
             "--passes", "1", "--level-seconds", "0.2", "--verifier", "python:tests.model_server:score",
             "--api-key-env", "SOME_KEY"]
        )  # fmt: skip
    assert code == 0
    for path in (tmp_path / "b").iterdir():
        content = path.read_bytes()
        assert b"sk-very-secret" not in content
        assert b"hunter2" not in content
