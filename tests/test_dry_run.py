"""--dry-run through the real command: it shows what the run then sends, and sends and writes nothing itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from pairing.cli import main
from tests.model_server import ModelServer

CANARY = "canary-key-77aa"


def prompts(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "in.jsonl"
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


def shown_request(text: str) -> tuple[list[str], dict[str, Any]]:
    """(request line and headers, body) of a dry run's output."""
    head, _, rest = text.partition("the first request:\n\n")[2].partition("\n\n")
    return head.splitlines(), orjson.loads(rest.partition("\n\nthe plan:")[0])


def test_it_shows_the_request_that_the_run_then_sends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Same URL, same body; no request goes out, no file is made, credentials are not shown."""
    monkeypatch.setenv("PAIRMILL_TEST_KEY", CANARY)
    path = prompts(tmp_path, {"question": f"1+1? {CANARY}\u202e\x1b[31m", "top_p": 0.5}, {"question": "2+2?"})
    (tmp_path / "t.txt").write_text("Q: {question}")
    server = ModelServer(api_key=CANARY)
    with server.serving():
        words = [
            "collect", "--input", str(path), "--output", str(tmp_path / "out" / "r.jsonl"), "--base-url", server.url,
            "--model", "test-model", "--num-repeats", "2", "--temperature", "0.6,1.0",
            "--prompt-template", str(tmp_path / "t.txt"), "--system-prompt", "Be brief.",
            "--extra-body", '{"top_k": 7}', "--api-key-env", "PAIRMILL_TEST_KEY",
            "--header", "X-Source=mine", "--header-env", "X-Other=PAIRMILL_TEST_KEY",
        ]  # fmt: skip
        assert main([*words, "--dry-run"]) == 0
        assert server.requests == 0
        assert not (tmp_path / "out").exists()
        out, err = capsys.readouterr()
        assert main(words) == 0
    assert CANARY not in out + err
    assert "\x1b" not in out
    assert "\u202e" not in out
    head, body = shown_request(out)
    assert head[0] == f"POST {server.url}/chat/completions"
    assert "authorization: [redacted]" in head
    assert "x-other: [redacted]" in head
    assert "x-source: mine" in head
    sent = orjson.loads(orjson.dumps(server.bodies[0]).replace(CANARY.encode(), b"[redacted]"))
    assert body == sent
    assert sent["temperature"] == 0.6
    for wanted in ("2 rows", "4 (2 of each row)", "0.6, 1, by repeat", "up to 6 attempts", "none: no rewards"):
        assert wanted in out


def test_run_shows_it_too_and_starts_no_server(tmp_path: Path) -> None:
    """With the embedded model: one process, quickly done, nothing written."""
    done = subprocess.run(
        [sys.executable, "-m", "pairing.cli", "run", "--output-dir", "out", "--dry-run", "--limit", "3"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "POST <embedded>/chat/completions" in done.stdout
    assert "12 (4 of each row)" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_an_agents_address_is_not_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The head server need not be there: the plan says that it will be asked."""
    path = prompts(tmp_path, {"responses_create_params": {"input": "1+1?"}})
    words = ["collect", "--input", str(path), "--output", str(tmp_path / "r.jsonl"), "--agent-name", "mine"]
    assert main([*words, "--head-url", "http://127.0.0.1:9", "--dry-run", "--num-repeats", "{mine: 3}"]) == 0
    head, body = shown_request(out := capsys.readouterr().out)
    assert head[0] == "POST <the agent mine, where http://127.0.0.1:9 says>/run"
    assert body["agent_ref"] == {"name": "mine"}
    assert "3 (repeats of each row by agent: mine 3)" in out


def test_every_row_is_tried_with_the_protocol(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not the first alone: the second has no plain form."""
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    path = prompts(tmp_path, {"prompt": "1+1?"}, {"messages": talk})
    words = ["collect", f"--input={path}", f"--output={tmp_path / 'r.jsonl'}", "--base-url=http://127.0.0.1:9/v1"]
    assert main([*words, "--protocol=completions", "--dry-run"]) == 1
    assert "in.jsonl:2: " in capsys.readouterr().err
    assert main([*words, "--protocol=completions", "--dry-run", "--limit=1"]) == 0


class Begun:
    """A run that was broken off: of two rows with two repeats each the journal holds three rollouts, the last torn."""

    def __init__(self, folder: Path, server: ModelServer) -> None:
        path = prompts(folder, {"prompt": "1+1?"}, {"prompt": "2+2?"})
        self.output = folder / "r.jsonl"
        self.words = ["collect", f"--input={path}", f"--output={self.output}", f"--base-url={server.url}"]
        self.words += ["--num-repeats=2", "--temperature=0.8"]
        assert main(self.words) == 0
        lines = self.output.read_bytes().splitlines(keepends=True)
        self.output.write_bytes(b"".join(lines[:2]) + lines[2][:-20])


@pytest.fixture
def begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Begun]:
    server = ModelServer()
    with server.serving():
        found = Begun(tmp_path, server)
        capsys.readouterr()
        yield found
        assert server.requests == 4


def test_with_resume_it_shows_what_is_left(begun: Begun, capsys: pytest.CaptureFixture[str]) -> None:
    """What is there is counted, the first request is the first that is missing, and a torn end stays as it is."""
    before = begun.output.read_bytes()
    assert main([*begun.words, "--resume", "--dry-run"]) == 0
    out = capsys.readouterr().out
    _, body = shown_request(out)
    assert body["messages"] == [{"role": "user", "content": "2+2?"}]
    assert "goes on with the 2 rollouts that it holds" in out
    assert begun.output.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--temperature=0.7"], "params.temperature: was 0.8, now 0.7"),
        (["--num-repeats=3"], "num_repeats: was 2, now 3"),
        (["--model=other"], 'model: was "test-model", now "other"'),
        (["--system-prompt=Be brief."], 'system_prompt: was not set, now "Be brief."'),
    ],
)
def test_with_resume_it_refuses_other_settings(
    begun: Begun, capsys: pytest.CaptureFixture[str], words: list[str], wanted: str
) -> None:
    """With the line that the run would end with: each difference named."""
    assert main([*begun.words, *words, "--resume", "--dry-run"]) == 1
    out, dry = capsys.readouterr()
    assert wanted in dry
    assert out == ""


def test_with_resume_and_another_input_or_damage_it_stops(begun: Begun, capsys: pytest.CaptureFixture[str]) -> None:
    """A changed file, a broken line in the middle, a run file that is gone."""
    source = begun.output.with_name("in.jsonl")
    rows = source.read_bytes()
    source.write_bytes(rows + b'{"prompt": "3+3?"}\n')
    assert main([*begun.words, "--resume", "--dry-run"]) == 1
    assert "input sha256: was" in capsys.readouterr().err
    source.write_bytes(rows)
    begun.output.write_bytes(b"broken\n" + begun.output.read_bytes())
    assert main([*begun.words, "--resume", "--dry-run"]) == 1
    assert "damaged at byte 0" in capsys.readouterr().err
    begun.output.with_name("r.run.json").unlink()
    assert main([*begun.words, "--resume", "--dry-run"]) == 1
    assert "cannot be resumed" in capsys.readouterr().err


def test_with_resume_and_nothing_left_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No request is shown where none would go out; where nothing was begun, the first one is."""
    path = prompts(tmp_path, {"prompt": "1+1?"})
    server = ModelServer()
    with server.serving():
        words = ["collect", f"--input={path}", f"--output={tmp_path / 'r.jsonl'}", f"--base-url={server.url}"]
        assert main([*words, "--resume", "--dry-run"]) == 0
        assert "the first request:" in capsys.readouterr().out
        assert main(words) == 0
        capsys.readouterr()
        assert main([*words, "--resume", "--dry-run"]) == 0
    assert "no request: every rollout is there already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--verifier", "exact:field=gold"], "in.jsonl:1: "),
        (["--verifier", "nonesuch"], "nonesuch"),
        (["--prompt-template", "t.txt"], "in.jsonl:1: the template wants the field 'gone'"),
        (["--protocol", "completions"], "in.jsonl:1: "),
        (["--output", "there.jsonl"], "there.jsonl: exists already"),
        (
            ["--output", "in_failures.jsonl", "--input", "in_failures_failures.jsonl"],
            "the run writes a file of that name",
        ),
    ],
)
def test_what_would_stop_the_run_stops_the_dry_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], wanted: str
) -> None:
    """Rows, verifier, template, protocol, output: the same one line, the same exit code."""
    monkeypatch.chdir(tmp_path)
    row = {"messages": [{"role": "system", "content": "s"}, {"role": "assistant", "content": "x"}], "answer": "1"}
    prompts(tmp_path, row)
    (tmp_path / "in_failures_failures.jsonl").write_bytes((tmp_path / "in.jsonl").read_bytes())
    (tmp_path / "there.jsonl").write_text("{}\n")
    (tmp_path / "t.txt").write_text("{gone}")
    code = main(
        ["collect", "--input=in.jsonl", "--output=r.jsonl", "--base-url=http://127.0.0.1:9/v1", "--dry-run", *words]
    )
    assert code in (1, 2)
    out, err = capsys.readouterr()
    assert err.startswith("pairmill: error: ")
    assert wanted in err
    assert out == ""
    assert not (tmp_path / "r.jsonl").exists()
