"""Ways through the real command that touch several rooms: a template down to the pairs, rollouts scored again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from pairing.cli import main
from tests.model_server import ModelServer


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose rows have no prompt of their own."""
    folder = tmp_path_factory.mktemp("templated")
    rows = [{"question": f"{i}+1?", "expected_answer": str(i + 1)} for i in range(6)]
    (folder / "in.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    (folder / "t.txt").write_text("Q: {question}\n")
    server = ModelServer()
    with server.serving():
        code = main(
            [
                "run", f"--output-dir={folder / 'out'}", f"--input={folder / 'in.jsonl'}", f"--base-url={server.url}",
                f"--prompt-template={folder / 't.txt'}", "--system-prompt=Be brief.",
                "--verifier=python:tests.model_server:score",
            ]
        )  # fmt: skip
    assert code == 0
    return folder


def test_pairs_carry_the_prompt_in_its_final_words(collected: Path) -> None:
    """A trainer sees what the model saw: the system prompt and the template's text."""
    pairs = rows_of(collected / "out" / "pairs.jsonl")
    assert len(pairs) >= 3
    for pair in pairs:
        system, user = pair["prompt"]
        assert system == {"role": "system", "content": "Be brief."}
        assert user["content"].startswith("Q: ")
        assert pair["chosen"][0]["content"].startswith(f"<{user['content']}>")


def test_reverify_scores_again_and_asks_nobody(collected: Path, tmp_path: Path) -> None:
    """Another verifier, the same answers, whole groups in order; the server is long gone."""
    source = collected / "out" / "rollouts.jsonl"
    words = ["collect", "--reverify", f"--input={source}", f"--output={tmp_path / 'again.jsonl'}"]
    assert main([*words, "--verifier=regex:pattern=Q: [0-2]"]) == 0
    before, after = rows_of(source), rows_of(tmp_path / "again.jsonl")
    assert [row["output"] for row in after] == [row["output"] for row in before]
    assert [row["reward"] for row in after] == [1.0] * 12 + [0.0] * 12


def test_attempts_that_were_made_again_are_told_by_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line at the end, and none where there was nothing to try again."""
    (tmp_path / "in.jsonl").write_bytes(b"".join(b'{"prompt": "question %d"}\n' % i for i in range(5)))
    server = ModelServer(fault_every=5, fault_kinds=("500", "429"))
    with server.serving():
        words = ["collect", f"--input={tmp_path / 'in.jsonl'}", f"--base-url={server.url}", "--backoff-base=0.01"]
        assert main([*words, f"--output={tmp_path / 'a.jsonl'}"]) == 0
        told = [line for line in capsys.readouterr().out.splitlines() if "retried" in line]
        assert told == ["  retried: http_429 2, http_500 2"]
        server.fault_every = 0
        assert main([*words, f"--output={tmp_path / 'b.jsonl'}"]) == 0
    assert "retried" not in capsys.readouterr().out
