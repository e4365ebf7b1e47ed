"""What the tests of faults share: an input, the words of a run, and what a whole output looks like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from tests.faults.commands import Done

__all__ = ["SCORE", "VOLATILE", "assert_whole", "collect_words", "rows_in", "write_prompts"]

SCORE = "python:tests.model_server:score"
VOLATILE = frozenset({"timing", "attempt"})
"""Fields of a rollout that two runs need not share."""


def write_prompts(path: Path, count: int) -> Path:
    """`count` prompts, each its own."""
    path.write_bytes(b"".join(b'{"prompt":"question %d."}\n' % task for task in range(count)))
    return path


def collect_words(source: Path, output: Path, url: str, *more: str | Path, repeats: int = 2) -> list[str | Path]:
    """`pairmill collect` on `source`, scored by the number that the test's model server answers with."""
    return [
        "collect", "--input", source, "--output", output, "--base-url", url, "--verifier", SCORE,
        "--num-repeats", str(repeats), "--num-samples-in-parallel", "4", *more,
    ]  # fmt: skip


def rows_in(path: Path) -> list[dict[str, Any]]:
    """Every line of a JSONL file that must hold nothing but whole lines."""
    content = path.read_bytes()
    assert content.endswith(b"\n") or not content, f"{path} ends in a torn line"
    return [orjson.loads(line) for line in content.split(b"\n")[:-1]]


def assert_whole(output: Path, tasks: int, repeats: int = 2, *, done: Done | None = None) -> list[dict[str, Any]]:
    """The contract of a finished run: each rollout once, in aabbcc order, and no file left over."""
    if done is not None:
        assert done.code == 0, done.err
    rows = rows_in(output)
    keys = [(row["_ng_task_index"], row["_ng_rollout_index"]) for row in rows]
    assert keys == [(task, repeat) for task in range(tasks) for repeat in range(repeats)]
    for row in rows:
        assert row["output"][-1]["content"].startswith(f"<{row['prompt']}>")
    names = {path.name for path in output.parent.iterdir() if path.name.startswith(output.stem)}
    assert names - {f"{output.stem}_failures.jsonl"} == {output.name, f"{output.stem}.run.json"}
    return rows
