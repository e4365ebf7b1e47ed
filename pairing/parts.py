"""What one process does with the parts of a file that it is given, and what it hands on of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pairing.fast_lane import FastLane
from pairing.outcomes import Policy, Sink
from pairing.output.blocks import Block
from pairing.reading.files import ReadTally
from pairing.reading.plain_rows import Run, Trust
from pairing.reading.spans import read_span
from pairing.reports.funnel import SamplePair, Tally

__all__ = ["Pairing", "Part", "PartPairer"]


class Pairing(Protocol):
    """`build.pair_runs`: pairs runs into a tally and a sink."""

    def __call__(self, runs: Any, trust: Trust, policy: Policy, tally: Tally, writer: Any) -> None: ...


@dataclass(slots=True)
class Part:
    """What came of one part of the file, but for what its process counts over all its parts."""

    first: int | None = None
    last: int | None = None
    """The task indices of its first and last run; None for a part without."""
    read: ReadTally = field(default_factory=ReadTally)
    reply: str | None = None
    sample: SamplePair | None = None
    """As the process knows them after this part: they may be of a part that it had before."""
    blocks: list[Block] = field(default_factory=list)
    adapted: Counter[str] = field(default_factory=Counter)
    error: Exception | None = None
    """What ended it early."""


class PartPairer:
    """Pairs parts, each after those before it in the file, and counts them all in `tally`; what it read is in the
    parts, as line numbers are known only once all parts before are."""

    def __init__(self, path: Path, policy: Policy, pair_runs: Pairing, tally: Tally) -> None:
        self._path, self._policy, self._pair_runs = path, policy, pair_runs
        self._trust = Trust(lost=not FastLane.takes(policy))
        self.tally = tally

    def pair(self, span: tuple[int, int], sink: Sink) -> Part:
        """The part between these two places in the file, its records in `sink`."""
        part, tally = Part(), self.tally
        tally.read = part.read
        try:
            self._pair_runs(self._runs(part, *span), self._trust, self._policy, tally, sink)
        except Exception as error:  # one process would have come to it after all that stands before
            part.error = error
        tally.read = ReadTally()
        part.reply, part.sample = tally.reply, tally.sample
        return part

    def _runs(self, part: Part, start: int, stop: int) -> Iterator[Run]:
        for run in read_span(self._path, start, stop, part.read, self._trust):
            part.first = run.task_index if part.first is None else part.first
            part.last = run.task_index
            yield run
