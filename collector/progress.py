"""What a run shows while it goes on: NeMo Gym's messages, a tqdm bar of durable rollouts, notes and failures.

Messages go to stdout, the bar and warnings to stderr, so that output can be piped.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

from tqdm import tqdm

from collector.errors import RolloutError
from collector.observer import RunView
from collector.records.rows import PromptRow, Reply, Task, Verdict
from collector.settings import CollectSettings
from collector.terminal import plain

__all__ = ["BarObserver"]

_SHOWN_FAILURES = 3


class _Steady:
    """A stream that may go away (a pipe's reader ends, a disk fills): what is shown is lost then, not the run."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class BarObserver:
    """Shows a run in a terminal. A rollout is counted once it is on disk."""

    wants_load = False

    def __init__(
        self, out: TextIO | None = None, err: TextIO | None = None, begun: Callable[[], None] | None = None
    ) -> None:
        """`begun` is called once, when the run's first rollout is on disk."""
        self._begun = begun
        self._out = _Steady(out or sys.stdout)
        self._err = _Steady(err or sys.stderr)
        self._bar: tqdm[Any] | None = None
        self._resumed = False
        self._rewards = 0
        self._reward_sum = 0.0
        self._failures: Counter[str] = Counter()

    def found(self, settings: CollectSettings, rows: int, tasks: int) -> None:
        self._say(f"Found {rows} rows!")
        self._say(f"Repeating rows (in a pattern of abc to aabbcc) from {rows} to {tasks}!")
        self._say(f"Querying with {settings.num_samples_in_parallel} concurrent requests")

    def note(self, text: str) -> None:
        self._warn(f"note: {text}")

    def started(self, done: int, tasks: int) -> None:
        self._resumed = done > 0
        # Without a terminal a bar is a stream of half lines: draw it seldom.
        interval = 0.1 if self._err.isatty() else 10.0
        self._bar = tqdm(
            total=tasks,
            initial=done,
            desc="Collecting rollouts",
            file=self._err,
            mininterval=interval,
            smoothing=0.05,
            dynamic_ncols=True,  # the terminal is asked; tqdm asks it by itself only for the plain sys.stderr
        )

    def watching(self, view: RunView) -> None: ...

    def answered(self, endpoint: str, seconds: float) -> None: ...

    def rollout(self, task: Task, reply: Reply, verdict: Verdict | None) -> None:
        if self._begun:
            begun, self._begun = self._begun, None
            begun()
        if verdict is not None:
            self._rewards += 1
            self._reward_sum += verdict.reward
        self._step()

    def failed(self, task: Task, error: RolloutError) -> None:
        self._failures[error.failure_class] += 1
        if self._failures.total() <= _SHOWN_FAILURES:
            where = f"row {task.row.line}, repeat {task.rollout_index}"
            self._warn(f"failed ({where}): {plain(str(error))}")
        elif self._failures.total() == _SHOWN_FAILURES + 1:
            self._warn("more failures follow; each stands in the failures file")
        self._step(made=0)

    def fewer(self, row: PromptRow, tasks: int) -> None:
        if self._bar is not None:
            self._bar.total -= tasks

    def ended(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _step(self, made: int = 1) -> None:
        if self._bar is None:
            return
        parts = []
        if self._rewards and not self._resumed:  # a mean of the new ones alone would be read as the file's
            parts.append(f"reward={self._reward_sum / self._rewards:.3f}")
        if self._failures:
            parts.append(f"failed={self._failures.total()}")
        self._bar.set_postfix_str(" ".join(parts), refresh=False)
        self._bar.update(made)

    def _say(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()

    def _warn(self, text: str) -> None:
        if self._bar is not None:
            self._bar.write(text, file=self._err)
        else:
            self._err.write(text + "\n")
            self._err.flush()
