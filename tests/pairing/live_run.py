"""A collection as a follower sees it: its files, written row by row in the order of completion, and sealed for real."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from collector.journal import RunFile, StreamPaths, write_run_file
from collector.journal.runfile import RunState
from collector.journal.seal import seal
from tests.pairing.make import Row

__all__ = ["LiveRun", "Script"]


class LiveRun:
    """The run of `num_repeats` rollouts a prompt that writes `folder`/rollouts.jsonl."""

    def __init__(self, folder: Path, num_repeats: int = 2, **settings: Any) -> None:
        self.paths = StreamPaths.for_output(folder / "rollouts.jsonl")
        self.num_repeats = num_repeats
        identity = {"num_repeats": num_repeats, **settings}
        self.file = RunFile.begin(identity, "0" * 64)

    def begin(self) -> None:
        self.state("running")
        self.paths.rollouts.touch()

    def state(self, state: RunState, **counts: int) -> None:
        self.file = msgspec.structs.replace(self.file, state=state, counts=counts)
        write_run_file(self.paths.run, self.file)

    def write(self, *rows: Row) -> None:
        self.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def write_text(self, text: str) -> None:
        with self.paths.rollouts.open("a", encoding="utf-8") as file:
            file.write(text)

    def finish(self, total_tasks: int | None = None, repeats_of: Callable[[int], int] | None = None) -> None:
        self.state("collected")
        result = seal(self.paths, self.num_repeats, total_tasks, repeats_of=repeats_of)
        self.state(
            "finished",
            rollouts=result.rows,
            groups=result.groups,
            incomplete_rollouts=result.incomplete_rows,
            duplicates=result.duplicates,
        )


class Script:
    """A clock whose every sleep is the run's next deed; when there is none left, time goes by."""

    def __init__(self, deeds: Iterable[Callable[[], object]]) -> None:
        self._deeds = list(deeds)
        self._now = 0.0

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds
        if self._deeds:
            self._deeds.pop(0)()
        else:
            self._now += 1.0
            assert self._now < 1000, "the following does not end"
