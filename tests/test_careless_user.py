"""What a careless user types, through the real command: one line, nothing lost, no secret printed back."""

from __future__ import annotations

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
