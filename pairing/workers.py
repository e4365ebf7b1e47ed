"""Several processes that pair one file in task order, each a part of it at a time; the result is that of one.

This process pairs as well: it is one of them. The others encode their records into drafts beside the output, which are
copied to where they belong as soon as all before them is written. What differs from a single process is rounding, in
the last digits of means.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, fields
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from collector.errors import OutputError, PairmillError
from collector.records.spread import Spread
from pairing.outcomes import Policy
from pairing.output.blocks import BlockSink, write_blocks
from pairing.output.drafts import new_draft, remove_stale
from pairing.output.split import SplitWriter
from pairing.output.writer import PairWriter
from pairing.parts import Pairing, Part, PartPairer
from pairing.reading.compression import is_compressed
from pairing.reading.files import ReadTally
from pairing.reading.groups import NotInOrder
from pairing.reading.spans import SPAN, spans_of
from pairing.reports.funnel import Tally

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

__all__ = ["can_share", "merge", "pair_in_workers"]

_AHEAD = 2
"""Parts that a worker has in hand: one at work, one that waits, so that it need not."""
_DRAFTS = 4
"""Parts of one worker that are not yet in the output. Each has a draft, which is used again and again."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_HELD = 4
"""Parts of this process that wait for an earlier one."""


def can_share(files: Sequence[Path], workers: int) -> bool:
    """True when several workers can pair these files: one, not compressed, and of more than one part."""
    return workers > 1 and len(files) == 1 and not is_compressed(files[0]) and files[0].stat().st_size > SPAN


def pair_in_workers(
    path: Path, policy: Policy, tally: Tally, writer: PairWriter | SplitWriter, workers: int, pair_runs: Pairing
) -> None:
    """Pair `path` in `workers` processes. Raises NotInOrder where one process would, and PairmillError when a process
    was killed."""
    own = PartPairer(path, policy, pair_runs, Tally())
    with _Team(path, policy, pair_runs, writer, workers - 1) as team:
        _Order(tally, writer, own, team).pair(enumerate(spans_of(path, SPAN, workers)))
        for part in (own.tally, *team.tallies()):
            merge(tally, part)


def merge(whole: Tally, part: Tally) -> None:
    """Add what `part` counted to `whole`, as if it had come after it."""
    if part.sample is not None and (whole.sample is None or part.sample.gap > whole.sample.gap):
        whole.sample = part.sample
    if whole.reply is None:
        whole.reply = part.reply
    _add_fields(whole, part)


@dataclass(slots=True, eq=False)
class _Worker:
    """Another process, as this one sees it."""

    process: BaseProcess
    pipe: Connection
    given: deque[int] = field(default_factory=deque)
    """The numbers of the parts that it has in hand."""
    unwritten: int = 0
    """Parts that it was given and that are not in the output yet."""
    drafts: deque[BinaryIO] = field(default_factory=deque)
    """In the order in which it fills them."""

    def takes_more(self) -> bool:
        return len(self.given) < _AHEAD and self.unwritten < _DRAFTS


class _Team:
    """The other processes. A context manager: none of them, and no draft of theirs, is left behind."""

    def __init__(
        self, path: Path, policy: Policy, pair_runs: Pairing, writer: PairWriter | SplitWriter, others: int
    ) -> None:
        self._path, self._place = path, writer.outputs[0].resolve()
        self._work = (self._place, path, policy, pair_runs, writer.takes_blocks)
        self._others = others
        self._left = ExitStack()
        self.workers: list[_Worker] = []

    def __enter__(self) -> _Team:
        from multiprocessing import get_context  # a single process need not wait for what several take

        context: Any = get_context("fork" if sys.platform == "linux" else "spawn")
        gc.freeze()  # a collection would touch, and so copy, the pages that the processes share
        try:
            for _ in range(self._others):
                mine, its = context.Pipe()
                foreign = [mine, *(worker.pipe for worker in self.workers)]
                process = context.Process(target=_serve, args=(its, foreign, *self._work), daemon=True)
                with _held_back():  # what is sent to a process that is not there yet, as its own
                    process.start()
                its.close()
                self.workers.append(_Worker(process, mine))
        except BaseException:
            self.__exit__()
            raise
        finally:
            gc.unfreeze()
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.workers:
            worker.pipe.close()
            worker.process.terminate()
        for worker in self.workers:
            worker.process.join()
        self._left.close()
        remove_stale(self._place)

    def give(self, worker: _Worker, number: int, span: tuple[int, int]) -> None:
        """The next part for a worker."""
        with suppress(BrokenPipeError):  # it is dead, which is told when its answer is asked for
            worker.pipe.send(span)
        worker.given.append(number)
        worker.unwritten += 1

    def answers(self, wait: bool) -> Iterator[tuple[int, _Worker, Part]]:
        """The parts that are done, with their numbers; one at least, with `wait`."""
        from multiprocessing.connection import wait as ready

        busy: dict[Any, _Worker] = {worker.pipe: worker for worker in self.workers if worker.given}
        for pipe in ready(list(busy), None if wait else 0):
            part = self._received(busy[pipe])
            yield busy[pipe].given.popleft(), busy[pipe], part

    def tallies(self) -> list[Tally]:
        """What each counted, once all is done."""
        for worker in self.workers:
            with suppress(BrokenPipeError):
                worker.pipe.send(None)
        return [self._received(worker) for worker in self.workers]

    def _received(self, worker: _Worker) -> Any:
        try:
            found = worker.pipe.recv()
            if not worker.drafts and isinstance(found, list):
                for draft in found:
                    worker.drafts.append(self._left.enter_context(draft.open("rb", buffering=0)))
                    draft.unlink()
                found = worker.pipe.recv()
        except (EOFError, ConnectionError):
            raise PairmillError(
                f"{self._path}: a worker ended before its work was done (killed, or out of memory): try --workers 1"
            ) from None
        return found


class _Records(list[tuple[Any, str]]):
    """A sink for what cannot be written yet."""

    def write(self, record: Any, prompt_id: str) -> None:
        self.append((record, prompt_id))


class _Order:
    """Hands out the parts, and writes them in the order of the file."""

    def __init__(self, tally: Tally, writer: PairWriter | SplitWriter, own: PartPairer, team: _Team) -> None:
        self._tally, self._writer, self._own, self._team = tally, writer, own, team
        self._done: dict[int, tuple[Part, _Worker | _Records]] = {}
        self._next = 0
        self._last = -1

    def pair(self, spans: Iterator[tuple[int, tuple[int, int]]]) -> None:
        """Pairs all of them."""
        while True:
            mine = next(spans, None) if self._held() < _HELD else None
            self._give(spans)
            if mine is not None:
                self._pair_own(*mine)
            elif not any(worker.given for worker in self._team.workers):
                return
            for number, worker, part in self._team.answers(wait=mine is None):
                self._done[number] = part, worker
            while self._next in self._done:
                self._write(*self._done.pop(self._next))

    def _held(self) -> int:
        return sum(isinstance(place, _Records) for _, place in self._done.values())

    def _give(self, spans: Iterator[tuple[int, tuple[int, int]]]) -> None:
        for _ in range(_AHEAD):
            for worker in self._team.workers:
                if worker.takes_more() and (given := next(spans, None)) is not None:
                    self._team.give(worker, *given)

    def _pair_own(self, number: int, span: tuple[int, int]) -> None:
        records = _Records()
        sink = self._writer if number == self._next else records
        self._done[number] = self._own.pair(span, sink), records

    def _write(self, part: Part, place: _Worker | _Records) -> None:
        """The next part of the file."""
        if part.first is not None and part.last is not None:
            if part.first <= self._last:
                raise NotInOrder
            self._last = part.last
        if part.error is not None:
            raise part.error
        if isinstance(place, _Worker):
            write_blocks(part.blocks, place.drafts[0], self._writer)
            self._writer.add_adapted(part.adapted)
            place.drafts.rotate(-1)
            place.unwritten -= 1
        else:
            for record, prompt_id in place:
                self._writer.write(record, prompt_id)
        merge(self._tally, Tally(read=part.read, reply=part.reply, sample=part.sample))
        self._next += 1


@contextmanager
def _held_back() -> Iterator[None]:
    """Signals wait. A process that is forked meanwhile must not take them by this one's handlers: it lets them through
    once it has its own."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(
    pipe: Connection,
    foreign: Iterable[Connection],
    place: Path,
    path: Path,
    policy: Policy,
    pair_runs: Pairing,
    blocks: bool,
) -> None:
    """What another process does: parts come as (start, stop), and None after the last. Signals of the terminal are the
    first one's business: it ends the others, and so does its death."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    for each in foreign:
        each.close()
    pairer = PartPairer(path, policy, pair_runs, Tally(sampled=True))
    with suppress(EOFError, ConnectionError):
        drafts = [new_draft(place) for _ in range(_DRAFTS)]
        pipe.send([draft for draft, _ in drafts])
        sinks = cycle([file for _, file in drafts])
        sink = BlockSink(policy.target, blocks, place)
        while (span := pipe.recv()) is not None:
            sink.begin(next(sinks))
            part = pairer.pair(span, sink)
            try:
                part.blocks, part.adapted = sink.end()
            except OutputError as error:
                part.error = part.error or error
            _send(pipe, part)
        pipe.send(pairer.tally)


def _send(pipe: Connection, part: Part) -> None:
    try:
        pipe.send(part)
    except OSError:  # the first process is gone
        raise
    except Exception:  # an error of another's code that cannot travel
        pipe.send(Part(error=RuntimeError(repr(part.error))))


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
