"""What a run's events add up to: one count for the screen and for Prometheus. Plain numbers, no I/O."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from functools import partial

from collector.errors import RolloutError
from collector.live.yields import Yields
from collector.observer import RunView
from collector.prompts.repeats import repeats_for
from collector.records.rows import PromptRow, Reply, Task, Verdict
from collector.settings import CollectSettings

__all__ = ["Histogram", "Tally"]

_GAP = 0.15
"""The pairing stage's default: below it a pair says little (`pairmill pair --min-gap`)."""
REWARD_EDGES = (-10.0, -5.0, -2.0, -1.0, -0.5, *(tenth / 10 for tenth in range(11)), 2.0, 5.0, 10.0)
SECOND_EDGES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 240.0, 600.0)


class Histogram:
    """Counts values by `edges`: the nth count is of values up to the nth edge and above the one before, the last of
    those above all."""

    __slots__ = ("counts", "edges", "total")

    def __init__(self, edges: tuple[float, ...]) -> None:
        self.edges = edges
        self.counts = [0] * (len(edges) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.edges, value)] += 1
        self.total += value


class Tally:
    """The counts of this run alone: `resumed` rollouts were there before. `tasks` are all that the run is to have.

    `gap` and `min_chosen` are `Watch`'s. With `histograms` it also keeps those of the rewards and, by endpoint, of the
    seconds that requests took.
    """

    def __init__(self, *, gap: float | None = None, min_chosen: float | None = None, histograms: bool = False) -> None:
        self.tasks = 0
        self.resumed = 0
        self.rollouts = 0
        self.rewards = 0
        self.reward_sum = 0.0
        self.failed = 0
        self.spared = 0
        self.failures: Counter[str] = Counter()
        self.view: RunView | None = None
        self.yields: Yields | None = None
        self.reward_histogram = Histogram(REWARD_EDGES) if histograms else None
        self.latencies: dict[str, Histogram] | None = {} if histograms else None
        self._gap = gap
        self._min_chosen = min_chosen
        self._input = 0
        self._output = 0
        self._shared = [0.0, 0.0]
        self._settings: CollectSettings | None = None
        self._rows = 0

    @property
    def input_tokens(self) -> int:
        return self._input + round(self._shared[0])

    @property
    def output_tokens(self) -> int:
        return self._output + round(self._shared[1])

    @property
    def ended(self) -> int:
        """Rollouts that came to an end, on disk or failed for good."""
        return self.rollouts + self.failed

    @property
    def settled(self) -> int:
        """Rollouts of which no more is to come: ended, or found to be needless."""
        return self.ended + self.spared

    @property
    def left(self) -> int:
        """Rollouts that are still to come to an end."""
        return max(0, self.tasks - self.resumed - self.ended)

    @property
    def retries(self) -> dict[str, int]:
        """Failed attempts that were followed by another, by class."""
        return dict(self.view.retries) if self.view is not None else {}

    def found(self, settings: CollectSettings, rows: int) -> None:
        self._settings, self._rows = settings, rows

    def started(self, done: int, tasks: int) -> None:
        self.resumed, self.tasks = done, tasks

    def watching(self, view: RunView) -> None:
        self.view = view
        settings = self._settings
        if settings is not None:
            gap = next(gap for gap in (self._gap, settings.until_gap, _GAP) if gap is not None)
            least = settings.min_chosen if self._min_chosen is None else self._min_chosen
            repeats_of = partial(repeats_for, settings=settings)
            self.yields = Yields(self._rows, repeats_of, view.there_before, gap, least)

    def answered(self, endpoint: str, seconds: float) -> None:
        if self.latencies is None:
            return
        histogram = self.latencies.get(endpoint)
        if histogram is None:
            histogram = self.latencies[endpoint] = Histogram(SECOND_EDGES)
        histogram.add(seconds)

    def rollout(self, task: Task, reply: Reply, verdict: Verdict | None) -> None:
        self.rollouts += 1
        usage = reply.usage
        if usage is not None:
            if reply.samples == 1:
                self._input += usage.input_tokens
                self._output += usage.output_tokens
            else:  # theirs together
                self._shared[0] += usage.input_tokens / reply.samples
                self._shared[1] += usage.output_tokens / reply.samples
        reward = None
        if verdict is not None:
            reward = verdict.reward
            self.rewards += 1
            self.reward_sum += reward
            if self.reward_histogram is not None:
                self.reward_histogram.add(reward)
        if self.yields is not None:
            self.yields.ended(task.row, reward)

    def failure(self, task: Task, error: RolloutError) -> None:
        self.failed += 1
        self.failures[error.failure_class] += 1
        if self.yields is not None:
            self.yields.ended(task.row, None)

    def fewer(self, row: PromptRow, tasks: int) -> None:
        self.tasks -= tasks
        self.spared += tasks
        if self.yields is not None:
            self.yields.fewer(row, tasks)
