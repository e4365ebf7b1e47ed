"""What a careless user types, through the real command: one line, nothing lost, no secret printed back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pairing.cli import main

COMMAND = ["collect", "--input", "in.jsonl", "--output", "r.jsonl", "--base-url", "http://127.0.0.1:9/v1"]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["--api-key", "canary"], "--api-key; did you mean --api-key-env or --api-key-file?"),
        (["--token=canary"], "unrecognized arguments: --token"),
        (["+api_key=canary"], "unrecognized arguments: --api-key"),
        (["--header", "Authorization:", "Bearer", "canary"], "unrecognized arguments: (not shown): quote what has"),
        (["--header-env", "X-A=Bearer", "canary"], "unrecognized arguments: (not shown): quote what has spaces"),
        (["my", "words"], "unrecognized arguments: my words: quote what has spaces"),
    ],
)
def test_a_secret_where_no_flag_is_comes_not_back(
    words: list[str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The flag is named, and those most like it; a value never, nor a loose word that may be part of a header."""
    assert main([*COMMAND, *words]) == 2
    out, err = capsys.readouterr()
    assert wanted in err
    assert err.count("\n") == 1
    assert "canary" not in out + err


def test_a_head_servers_password_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nor is its user, when it does not answer."""
    (tmp_path / "in.jsonl").write_text('{"prompt": "a"}\n')
    words = ["--agent-name=a", "--head-url=http://me:canary@127.0.0.1:9"]
    assert main(["collect", f"--input={tmp_path / 'in.jsonl'}", "--output=r.jsonl", *words]) == 1
    err = capsys.readouterr().err
    assert "http://127.0.0.1:9/global_config_dict_yaml: the head server does not answer" in err
    assert "canary" not in err


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["run", "--output-dir=o", "--reverify"], "--reverify: `pairmill collect` takes it, not `pairmill run`"),
        (["run", "--output-dir=o", "--output=o"], "--output: `pairmill collect` and `pairmill pair` take it, not"),
        ([*COMMAND, "--output-dir=o"], "not `pairmill collect`, which has --output (see"),
        ([*COMMAND, "--verifier=0.7numeric"], "no verifier '0.7numeric': a weight has a star behind it: 0.7*numeric;"),
        ([*COMMAND, "--verifier=2 x math"], "a weight has a star behind it: 2*math;"),
        (
            ["collect", "--input=in.jsonl", "--output=r", "--verifier=numeric", "--reverify", "--dry-run"],
            "--dry-run: --reverify has no request to show; to try the verifier, score a few prompts: give --limit 10",
        ),
    ],
)
def test_what_another_command_takes_or_a_slip_leaves_out_is_said(
    words: list[str], wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line that names the way out, not only what was wrong."""
    assert main(words) == 2
    err = capsys.readouterr().err
    assert wanted in err
    assert err.splitlines()[-1].startswith("pairmill: error: ")


def test_run_speaks_of_its_own_flag_for_the_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The collector's advice names --output-dir where there is no --output, and --output where there is."""
    (tmp_path / "in.jsonl").write_text('{"prompt": "a"}\n')
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / "rollouts.jsonl")
    words = [f"--input={tmp_path / 'in.jsonl'}", "--base-url=http://127.0.0.1:9/v1", "--verifier=exact:field=prompt"]
    assert main(["run", f"--output-dir={tmp_path / 'out'}", *words]) == 1
    assert "is not a regular file; give another --output-dir\n" in capsys.readouterr().err
    assert main(["collect", f"--output={tmp_path / 'out' / 'rollouts.jsonl'}", *words]) == 1
    assert "is not a regular file; give another --output\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "wanted"),
    [
        (["pair", "--output=p", "--input", "a" * 5000], 1, "File name too long"),
        (["check", "a" * 5000], 1, "File name too long"),
        (["pair", "--output=p", "--input="], 2, "argument --input: is empty"),
        (["pair", "--output=", "--input=r"], 2, "argument --output: is empty"),
        (["pair", "--output=/", "--input=r"], 2, "/ is a folder: give a file"),
        (["pair", "--output=.", "--input=r", "--validation=0.2"], 2, ". is a folder: give a file"),
        (["pair", "--output=p\0q", "--input=r"], 2, "no path holds a NUL character"),
        (["pair", "--output=p", "--input=r", "--min-gap=--"], 2, "argument --min-gap: -- is no value"),
        (["stats", "--input=r", "--success=--"], 2, "argument --success: -- is no value"),
        (["compare", "--input=r", "--strategy="], 2, "--strategy : give one of"),
    ],
)
def test_a_value_that_is_none_is_one_line(
    words: list[str], code: int, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a shell makes of variables that are not set, and of names that no disk takes: no traceback."""
    assert main(words) == code
    err = capsys.readouterr().err
    assert wanted in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["check", "--input", "p.jsonl"], "--input: it takes the file without a flag: pairmill check FILE"),
        (["check", "--input=p.jsonl"], "--input: it takes the file without a flag: pairmill check FILE"),
        (["stats", "r.jsonl"], "required: --input: write --input FILE"),
        (["pair", "r.jsonl"], "required: --input, --output: write --input FILE"),
        (["pair", "--input=r", "--output=p", "--group-size=four"], "--group-size: 'four': give a whole number (see"),
        ([*COMMAND, "--until-gap=wide"], "--until-gap: 'wide': give a number (see"),
        ([*COMMAND, "--limit=all"], "--limit: 'all': give a whole number, 1 or more (see"),
    ],
)
def test_what_to_write_in_its_place_is_said(words: list[str], wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A file with or without its flag, and words where numbers stand: one line with the way out."""
    assert main(words) == 2
    err = capsys.readouterr().err
    assert wanted in err
    assert err.count("\n") == 1


def test_collect_takes_one_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A pattern is told that it is one; a name that is only wrong is not."""
    words = [f"--output={tmp_path / 'r.jsonl'}", "--base-url=http://127.0.0.1:9/v1", "--verifier=exact:field=prompt"]
    assert main(["collect", f"--input={tmp_path / '*.jsonl'}", *words]) == 1
    assert "*.jsonl: no such file: one file is taken, no pattern; join them first (--input)" in capsys.readouterr().err
    assert main(["collect", f"--input={tmp_path / 'a.jsonl'}", *words]) == 1
    assert "a.jsonl: no such file (--input)" in capsys.readouterr().err


def test_rows_without_a_prompt_are_shown_the_template(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The three forms, and the flag that makes a prompt of other fields."""
    (tmp_path / "in.jsonl").write_text('{"question": "a"}\n')
    words = [f"--output={tmp_path / 'r.jsonl'}", "--base-url=http://127.0.0.1:9/v1", "--verifier=exact:field=question"]
    assert main(["collect", f"--input={tmp_path / 'in.jsonl'}", *words]) == 1
    assert "(it has: question); --prompt-template FILE makes it of other fields" in capsys.readouterr().err
