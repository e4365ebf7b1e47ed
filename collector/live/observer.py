"""The watcher of a run in the terminal: NeMo Gym's messages, notes and failures, and the run's state over and over.

Messages of the start go to stdout, all else to stderr, so that output can be piped.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from collector.errors import RolloutError
from collector.live.displays import Bar, display_for
from collector.live.rates import Counts, Recent
from collector.live.streams import SteadyStream
from collector.live.tally import Tally
from collector.live.ticker import Ticker
from collector.live.watch import Watch
from collector.observer import RunView
from collector.records.rows import PromptRow, Reply, Task, Verdict
from collector.settings import CollectSettings
from collector.terminal import plain

if TYPE_CHECKING:
    from collector.adaptive.changes import LimitChange

__all__ = ["LiveObserver"]

_SHOWN_FAILURES = 3


class LiveObserver:
    """Shows a run. A rollout is counted once it is on disk. `tally` has the counts, `wants_load` says whether the
    servers are to be asked how busy they are."""

    def __init__(
        self,
        watch: Watch | None = None,
        *,
        out: TextIO | None = None,
        err: TextIO | None = None,
        begun: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`begun` is called once, when the run's first rollout is on disk. `clock` gives seconds."""
        watch = watch or Watch()
        metrics = watch.metrics_port is not None
        self._begun = begun
        self._clock = clock
        self._out = SteadyStream(out or sys.stdout)
        self._display = display_for(watch.progress, SteadyStream(err or sys.stderr))
        self._ticker: Ticker | None = None
        self._recent: Recent | None = None
        self._began = 0.0
        self.tally = Tally(gap=watch.gap, min_chosen=watch.min_chosen, histograms=metrics)
        self.wants_load = metrics or isinstance(self._display, Bar)

    def found(self, settings: CollectSettings, rows: int, tasks: int) -> None:
        self.tally.found(settings, rows)
        most = "" if settings.until_gap is None else "up to "  # early stop may leave some of them
        self._out.write(f"Found {rows} rows!\n")
        self._out.write(f"Repeating rows (in a pattern of abc to aabbcc) from {rows} to {most}{tasks}!\n")
        self._out.write(f"Querying with {settings.parallelism} concurrent requests\n")

    def note(self, text: str) -> None:
        self._display.say(f"note: {plain(text)}")

    def started(self, done: int, tasks: int) -> None:
        self.tally.started(done, tasks)
        self._began = self._clock()
        self._recent = Recent(self._began)
        self._ticker = Ticker(self._tick, self._display.first, self._display.every)

    def watching(self, view: RunView) -> None:
        self.tally.watching(view)

    def answered(self, endpoint: str, seconds: float) -> None:
        self.tally.answered(endpoint, seconds)

    def rollout(self, task: Task, reply: Reply, verdict: Verdict | None) -> None:
        if self._begun:
            begun, self._begun = self._begun, None
            begun()
        self.tally.rollout(task, reply, verdict)

    def failed(self, task: Task, error: RolloutError) -> None:
        self.tally.failure(task, error)
        if self.tally.failed <= _SHOWN_FAILURES:
            where = f"row {task.row.line}, repeat {task.rollout_index}"
            self._display.say(f"failed ({where}): {plain(str(error))}")
        elif self.tally.failed == _SHOWN_FAILURES + 1:
            self._display.say("more failures follow; each stands in the failures file")

    def limit_changed(self, change: LimitChange) -> None:
        self._display.limit_changed(
            f"{plain(change.endpoint)}: {change.new} requests in flight, after {change.old}: {plain(change.reason)}"
        )

    def fewer(self, row: PromptRow, tasks: int) -> None:
        self.tally.fewer(row, tasks)

    def ended(self) -> None:
        if self._ticker is None or self._recent is None:
            return
        self._ticker.stop()
        self._ticker = None
        self._display.end(self.tally, self._recent.overall(self._clock(), self._counts()))

    def _tick(self) -> None:
        if self._recent is None:
            return
        now, counts = self._clock(), self._counts()
        self._recent.add(now, counts)
        self._display.draw(self.tally, self._recent.pace(now, counts))

    def _counts(self) -> Counts:
        return Counts(self.tally.rollouts, self.tally.settled, self.tally.output_tokens)
