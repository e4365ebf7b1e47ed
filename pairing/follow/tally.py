"""The funnel's counts for groups that come in any order: where the first of several counts, it is the lowest task's."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from pairing.outcomes import Outcome
from pairing.reading.rollouts import BrokenLine
from pairing.reports.funnel import SamplePair, Tally

__all__ = ["LiveTally"]


@dataclass(slots=True)
class LiveTally(Tally):
    """Equal to the Tally of the same groups in order, but for the last digits of means and, past some thousand prompts,
    for the sample of prompts whose answers are told apart."""

    reply_task: int | None = None

    def add(self, outcome: Outcome) -> None:
        task = outcome.group.task_index or 0
        if outcome.usable and (self.reply_task is None or task < self.reply_task):
            self.reply, self.reply_task = None, task
        Tally.add(self, outcome)
        shown = self.sample
        if shown is None or shown.task_index is None or task >= shown.task_index:
            return
        for kept in outcome.kept:
            if kept.pair.gap == shown.gap:
                with suppress(BrokenLine, RecursionError):
                    self.sample = SamplePair.of(kept.pair)
                    return
