"""Rollouts files for the tests of scoring again: made by a real run over HTTP, read as dicts and as members."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from collector.collecting import collect
from collector.result import CollectResult
from collector.reverify import reverify
from collector.reverify.splice import members_of
from collector.settings import CollectSettings
from tests.model_server import ModelServer
from tests.runs import QUICK, Notes, settings

LENGTH = "python:tests.reverify.scorers:length"
VERDICT = frozenset({"reward", "reward_components", "note", "previous_reward", "previous_fields"})
"""The members that a verdict of `length` owns."""


def prompts(path: Path, count: int) -> Path:
    rows = ({"prompt": f"question {i}", "id": f"row-{i}", "reward": "mine", "deep": {"x": 1.50}} for i in range(count))
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


async def rollouts(folder: Path, count: int, repeats: int = 2, **changes: Any) -> CollectResult:
    """A real run's output: `count` prompts, scored by the number that the server answers with."""
    source = prompts(folder / "in.jsonl", count)
    with ModelServer().serving() as server:
        return await collect(settings(folder, server, input=source, num_repeats=repeats, **changes))


def again(source: Path, verifier: str | tuple[str, ...] = LENGTH, **changes: Any) -> CollectSettings:
    given: dict[str, Any] = {
        "input": source,
        "output": source.parent / "again" / "rescored.jsonl",
        "base_url": "http://127.0.0.1:9/v1",
        "verifier": verifier,
        "retry": QUICK,
    }
    return CollectSettings(**{**given, **changes})


async def rescore(
    source: Path, verifier: str | tuple[str, ...] = LENGTH, **changes: Any
) -> tuple[CollectResult, Notes]:
    """The result, and what the user was told."""
    notes = Notes()
    return await reverify(again(source, verifier, **changes), observer=notes), notes


def lines_of(path: Path) -> list[bytes]:
    return [line for line in path.read_bytes().split(b"\n") if line]


def rest_of(line: bytes, owned: frozenset[str] = VERDICT) -> list[tuple[str, bytes, bytes, bytes]]:
    """The members that a verdict leaves alone, byte for byte."""
    return [tuple(member) for member in members_of(line) if member.name not in owned]  # type: ignore[misc]
