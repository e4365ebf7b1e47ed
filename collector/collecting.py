"""The main path: rows in, a sealed stream of scored rollouts out.

One run, top to bottom: check the input, ask the server, open the journal, let workers pull tasks in input order and
take each to its end (`attempts`), then seal. A worker holds a slot of the limiter only while its request is out, so
there are more workers than slots, and slots stay full. Not covered here: how a request is made (`protocols`), sent
(`client`) or written (`journal`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import anyio
import httpx

from collector.attempts import Attempts
from collector.endpoints import open_endpoints
from collector.errors import UsageError
from collector.journal import SealResult, StreamPaths, check_output, file_digest, open_journal
from collector.limiter import FixedLimiter
from collector.observer import Observer, SilentObserver
from collector.prompts import count_rows, read_rows, repeat_rows
from collector.protocols import get_protocol
from collector.records.rows import Task
from collector.settings import CollectSettings
from collector.stopping import StopSwitch, first_error
from collector.verifiers import verifier_of

__all__ = ["CollectResult", "collect"]

_WORKERS_PER_SLOT = 2


@dataclass(frozen=True, slots=True)
class CollectResult:
    """What a run did. `rollouts` counts rows on disk: this run's and the `resumed` ones, which were there before.
    `failures` counts the rollouts that failed for good, by class."""

    settings: CollectSettings
    paths: StreamPaths
    rows: int
    tasks: int
    rollouts: int
    resumed: int
    failures: Mapping[str, int]
    interrupted: bool
    high_water: int
    seconds: float
    seal: SealResult | None

    @property
    def failed(self) -> int:
        """Rollouts that failed for good in this run."""
        return sum(self.failures.values())


async def collect(
    settings: CollectSettings,
    *,
    observer: Observer | None = None,
    stop: StopSwitch | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> CollectResult:
    """Collects `num_repeats` rollouts of every row of the input into `settings.output`, and seals it.

    Order: requests start in input order; the sealed file is in aabbcc order. A rollout that fails is a row of the
    failures file and never ends the run. Raises a PairmillError when the input, the output, the settings or the server
    cannot be used; whatever was acknowledged by then is on disk, and `resume=True` goes on from there.
    """
    observer = observer or SilentObserver()
    paths = StreamPaths.for_output(settings.output)
    _check_apart(settings, paths)
    verifier = verifier_of(settings)
    rows = count_rows(settings.input, settings.limit, verifier.check if verifier else None)
    check_output(paths, resume=settings.resume, overwrite=settings.overwrite)
    protocol = get_protocol(settings.protocol)
    async with open_endpoints(settings, protocol, transport) as endpoints:
        settings = replace(settings, model=endpoints.model)
        journal_context = open_journal(
            paths,
            resume=settings.resume,
            overwrite=settings.overwrite,
            identity=settings.identity(),
            input_digest=file_digest(settings.input),
            num_repeats=settings.num_repeats,
            input_path=settings.input,
            verifier_code=verifier.code_digest if verifier else None,
        )
        async with journal_context as journal:
            observer.found(settings, rows, rows * settings.num_repeats)
            if verifier is None and protocol.name != "agent":
                observer.note("no --verifier: these rollouts will carry no reward, and pairs need one")
            limiter = FixedLimiter(settings.num_samples_in_parallel)
            stop = stop or StopSwitch()
            attempts = Attempts(settings, protocol, endpoints, verifier, journal, limiter, observer, stop)
            return await _Run(attempts).through(rows)


def _check_apart(settings: CollectSettings, paths: StreamPaths) -> None:
    """A run replaces and removes the files beside its output: its input may be none of them."""
    source = settings.input.resolve()
    clash = next((path for path in (*paths.all, *paths.scratch) if path.resolve() == source), None)
    if clash is not None:
        raise UsageError(f"--input {settings.input}: the run writes a file of that name; give another --output")


class _Run:
    """The workers of one run, and the tasks that they share."""

    def __init__(self, attempts: Attempts) -> None:
        self.attempts = attempts
        self.settings = attempts.settings
        self.journal = attempts.journal
        self.observer = attempts.observer
        self.stop = attempts.stop
        self.limiter = attempts.limiter
        self.tasks: Iterator[Task] = self._remaining_tasks()

    async def through(self, rows: int) -> CollectResult:
        """Runs the workers until there is no task left, the stop switch is thrown, or the server is gone."""
        total = rows * self.settings.num_repeats
        began = time.monotonic()
        resumed = len(self.journal.done)
        for note in self.journal.notes:
            self.observer.note(note)
        self.observer.started(resumed, total)
        try:
            await self._work(total - resumed)
        finally:
            self.observer.ended()
        interrupted = self.stop.thrown and resumed + self.attempts.succeeded + self.attempts.failed < total
        sealed = await self._finish(rows, interrupted)
        return CollectResult(
            settings=self.settings,
            paths=self.journal.paths,
            rows=rows,
            tasks=total,
            rollouts=resumed + self.attempts.succeeded,
            resumed=resumed,
            failures=dict(self.attempts.failures),
            interrupted=interrupted,
            high_water=self.limiter.high_water,
            seconds=time.monotonic() - began,
            seal=sealed,
        )

    def _remaining_tasks(self) -> Iterator[Task]:
        sends_seed = self.settings.send_seed
        if sends_seed is None:
            sends_seed = self.attempts.protocol.sends_seed
        return repeat_rows(
            read_rows(self.settings.input, self.settings.limit),
            self.settings,
            sends_seed=sends_seed,
            skip=self.journal.done.__contains__,
        )

    async def _work(self, remaining: int) -> None:
        workers = min(remaining, _WORKERS_PER_SLOT * self.settings.num_samples_in_parallel)
        try:
            async with self.attempts.verifier or _Nothing(), anyio.create_task_group() as group:
                for _ in range(workers):
                    group.start_soon(self._worker)
        except* Exception as errors:
            # Workers fail together when the disk or the server does: the first one tells the story.
            raise first_error(errors) from None

    async def _worker(self) -> None:
        while True:
            await self.limiter.acquire()
            task = None if self.stop.thrown else next(self.tasks, None)
            if task is None:
                self.limiter.release()
                return
            await self.attempts.finish(task)

    async def _finish(self, rows: int, interrupted: bool) -> SealResult | None:
        counts = {"failed": self.attempts.failed}
        if interrupted:
            await self.journal.close("interrupted", counts)
            return None
        return await self.journal.seal(rows, counts=counts)


class _Nothing:
    """The context of a run without a verifier."""

    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *_: object) -> None: ...
