"""What the tests of whole runs share: an input, settings that fail fast, rows, the contract of a sealed file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import orjson

from collector.observer import SilentObserver
from collector.result import CollectResult
from collector.settings import CollectSettings, RetryPolicy
from tests.model_server import ModelServer

VERIFIER = "python:tests.model_server:score"
QUICK = RetryPolicy(backoff_base=0.01, backoff_cap=0.05, dead_after=0.5)


def prompts(path: Path, count: int, word: str = "question") -> Path:
    path.write_bytes(b"".join(orjson.dumps({"prompt": f"{word} {i}", "id": f"row-{i}"}) + b"\n" for i in range(count)))
    return path


def settings(tmp_path: Path, server: ModelServer, **changes: Any) -> CollectSettings:
    given: dict[str, Any] = {
        "input": tmp_path / "in.jsonl",
        "output": tmp_path / "out" / "rollouts.jsonl",
        "base_url": server.url,
        "verifier": VERIFIER,
        "retry": QUICK,
    }
    return CollectSettings(**{**given, **changes})


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in path.read_bytes().split(b"\n") if line]


def assert_sealed(result: CollectResult, repeats: int) -> list[dict[str, Any]]:
    """The contract of a sealed file: aabbcc order, whole groups, each answer with its own prompt."""
    rows = rows_of(result.paths.rollouts)
    keys = [(row["_ng_task_index"], row["_ng_rollout_index"]) for row in rows]
    assert keys == sorted(keys)
    for start in range(0, len(rows), repeats):
        group = rows[start : start + repeats]
        assert [row["_ng_rollout_index"] for row in group] == list(range(repeats))
        assert len({row["_ng_task_index"] for row in group}) == 1
        assert len({row["prompt_id"] for row in group}) == 1
    for row in rows:
        assert row["output"][-1]["content"].startswith(f"<{row['prompt']}>")
        assert row["response"]["choices"][0]["message"]["content"] == row["output"][-1]["content"]
    return rows


class Notes(SilentObserver):
    """An observer that keeps what the user would be told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@contextmanager
def server_process() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A model server in a process of its own, to be stopped, continued and killed; and its URL."""
    words = [sys.executable, "-m", "tests.model_server"]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=command_env()
    ) as process:
        assert process.stdout
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def command_env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}


def wait_for(condition: Any) -> None:
    import threading

    for _ in range(6000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("the condition did not come true within a minute")


async def until(condition: Callable[[], bool]) -> None:
    """Waits for something that a server's thread, or the run itself, will do."""
    for _ in range(6000):
        if condition():
            return
        await anyio.sleep(0.01)
    raise AssertionError("the condition did not come true within a minute")
