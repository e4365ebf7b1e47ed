"""What the tests of real sweeps share: quick settings, a watcher that keeps what it is told, verifiers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson

from collector.parallelism import BenchSettings, Swept, sweep
from collector.parallelism.records import TrialRecord
from collector.parallelism.report import report_files
from collector.settings import CollectSettings
from collector.stopping import StopSwitch
from pairing.bench import count_pairs
from pairing.settings import PairSettings
from tests.runs import QUICK


class Kept:
    """A watcher that stops the sweep after so many trials, if it is to."""

    def __init__(self, stop: StopSwitch, after: int | None = None) -> None:
        self.notes: list[str] = []
        self.trials: list[TrialRecord] = []
        self._stop = stop
        self._after = after

    def note(self, text: str) -> None:
        self.notes.append(text)

    def planned(self, levels: Sequence[int], done: int, left: int, cache: str) -> None: ...
    def began(self, part: int, level: int) -> None: ...
    def ended(self, trial: TrialRecord) -> None:
        self.trials.append(trial)
        if len(self.trials) == self._after:
            self._stop.throw()


def settings(tmp_path: Path, url: str, collect: dict[str, Any] | None = None, **changes: Any) -> BenchSettings:
    given: dict[str, Any] = {
        "input": tmp_path / "in.jsonl",
        "output": tmp_path / "bench" / "rollouts.jsonl",
        "base_url": url,
        "endpoint_name": "test",
        "verifier": "python:tests.model_server:score",
        "num_repeats": 2,
        "retry": QUICK,
    }
    quick: dict[str, Any] = {"levels": (1, 2, 4), "passes": 1, "level_seconds": 0.2}
    made = CollectSettings(**{**given, **(collect or {})})
    return BenchSettings(collect=made, folder=tmp_path / "bench", **{**quick, **changes})


async def swept(given: BenchSettings, after: int | None = None) -> tuple[Swept, Kept]:
    stop = StopSwitch()
    kept = Kept(stop, after)
    policy = PairSettings().policy()
    done = await sweep(
        given,
        watcher=kept,
        stop=stop,
        count_pairs=lambda path: count_pairs(path, policy),
        reports=report_files,
    )
    return done, kept


def requests_in(folder: Path) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in (folder / "requests.jsonl").read_bytes().splitlines()]


def summary_in(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((folder / "summary.json").read_bytes())
    return found


async def slow_score(row: dict[str, Any], text: str) -> float:
    """A verifier that keeps the event loop for itself: a client that is too slow."""
    time.sleep(0.02)  # noqa: ASYNC251 - that is the fault
    return 1.0
