"""Several processes that pair one file in task order, each a part of it at a time; the result is that of one.

Each hands back its parts' records and counts, and the parts are written in the order of the file. What differs from a
single process is rounding, in the last digits of means.
"""

from __future__ import annotations

import signal
import sys
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from collector.errors import PairmillError
from collector.records.spread import Spread
from pairing.fast_lane import FastLane
from pairing.outcomes import Policy, Sink
from pairing.reading.compression import is_compressed
from pairing.reading.files import ReadTally
from pairing.reading.groups import NotInOrder
from pairing.reading.plain_rows import Run, Trust
from pairing.reading.spans import SPAN, read_span, span_starts
from pairing.reports.funnel import Tally

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["can_share", "merge", "pair_in_workers"]

_WAITING_EACH = 2
"""Parts in hand for each worker: one at work, one done or waiting."""


class Pairing(Protocol):
    """`build.pair_runs`: pairs runs into a tally and a sink."""

    def __call__(self, runs: Any, trust: Trust, policy: Policy, tally: Tally, writer: Any) -> None: ...


@dataclass(slots=True)
class _Part:
    """What came of one part of the file."""

    tally: Tally = field(default_factory=Tally)
    records: list[tuple[Any, str]] = field(default_factory=list)
    first: int | None = None
    last: int | None = None
    """The task indices of its first and last run; None for a part without."""

    def write(self, record: Any, prompt_id: str) -> None:
        self.records.append((record, prompt_id))


def can_share(files: Sequence[Path], workers: int) -> bool:
    """True when several workers can pair these files: one, not compressed, and of more than one part."""
    return workers > 1 and len(files) == 1 and not is_compressed(files[0]) and files[0].stat().st_size > SPAN


def pair_in_workers(path: Path, policy: Policy, tally: Tally, writer: Sink, workers: int, pair_runs: Pairing) -> None:
    """Pair `path` in `workers` processes. Raises NotInOrder where one process would, and PairmillError when a process
    was killed."""
    from concurrent.futures.process import BrokenProcessPool

    last = -1
    try:
        for part in _in_order(path, policy, workers, pair_runs):
            if part.first is not None and part.last is not None:
                if part.first <= last:
                    raise NotInOrder
                last = part.last
            for record, prompt_id in part.records:
                writer.write(record, prompt_id)
            merge(tally, part.tally)
    except BrokenProcessPool:
        raise PairmillError(
            f"{path}: a worker ended before its work was done (killed, or out of memory): try --workers 1"
        ) from None


def merge(whole: Tally, part: Tally) -> None:
    """Add what `part` counted to `whole`, as if it had come after it."""
    if part.sample is not None and (whole.sample is None or part.sample.gap > whole.sample.gap):
        whole.sample = part.sample
    if whole.reply is None:
        whole.reply = part.reply
    _add_fields(whole, part)


def _in_order(path: Path, policy: Policy, workers: int, pair_runs: Pairing) -> Iterator[_Part]:
    from concurrent.futures import ProcessPoolExecutor  # a single process need not wait for what several take
    from multiprocessing import get_context

    pool = ProcessPoolExecutor(
        workers,
        mp_context=get_context("fork" if sys.platform == "linux" else "spawn"),
        initializer=_begin,
        initargs=(path, policy, pair_runs),
    )
    waiting: deque[Future[_Part]] = deque()
    try:
        for start in span_starts(path, SPAN):
            waiting.append(pool.submit(_pair_part, start))
            if len(waiting) >= workers * _WAITING_EACH:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_work: partial[_Part]


def _begin(path: Path, policy: Policy, pair_runs: Pairing) -> None:
    """What a worker does first. Signals of the terminal are the parent's business: it ends its workers."""
    global _work
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _work = partial(_paired, path, policy, pair_runs)


def _pair_part(start: int) -> _Part:
    return _work(start)


def _paired(path: Path, policy: Policy, pair_runs: Pairing, start: int) -> _Part:
    part = _Part(tally=Tally(sampled=start >= SPAN))
    trust = Trust(lost=not FastLane.takes(policy))

    def seen() -> Iterator[Run]:
        for run in read_span(path, start, SPAN, part.tally.read, trust):
            part.first = run.task_index if part.first is None else part.first
            part.last = run.task_index
            yield run

    pair_runs(seen(), trust, policy, part.tally, part)
    return part


def _add_fields(whole: Any, part: Any) -> None:
    for name in (each.name for each in fields(whole)):
        mine, theirs = getattr(whole, name), getattr(part, name)
        if isinstance(mine, ReadTally | Spread):
            mine.merge(theirs)
        elif isinstance(mine, dict):
            for key, count in theirs.items():
                mine[key] = mine.get(key, 0) + count
        elif isinstance(mine, list):
            mine += theirs
        elif isinstance(mine, set):
            mine |= theirs
        elif isinstance(mine, int) and not isinstance(mine, bool):
            setattr(whole, name, mine + theirs)
        elif hasattr(mine, "__dataclass_fields__") and not isinstance(mine, Counter) and name != "sample":
            _add_fields(mine, theirs)
