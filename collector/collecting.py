"""The main path: rows in, a sealed stream of scored rollouts out.

One run, top to bottom: check the input, ask the server, open the journal, let workers pull jobs (`work`) and make an
attempt at each (`attempts`), wait until the last reply is judged and the last row durable (`outcomes`), then seal.
There are as many workers as slots, and more as a limit that finds itself grows (`adaptive`). A worker waits for nothing
but its request: rows go to the disk, slow verdicts are made and retries come due beside it. Not covered here: how a
request is made (`protocols`), sent (`client`) or written (`journal`).
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import anyio
import httpx
from anyio.abc import TaskGroup

from collector.adaptive.log import forget_limits
from collector.adaptive.steering import LimitRange, Steering
from collector.attempts import Attempts
from collector.endpoints import Endpoints, open_endpoints
from collector.errors import ServerError, UsageError
from collector.garbage import calm_collector
from collector.health import Health
from collector.journal import Journal, SealResult, StreamPaths, check_output, file_digest, open_journal
from collector.journal.disk import DISK, Disk
from collector.limiter import FixedLimiter
from collector.load import LoadWatch
from collector.observer import Observer, SilentObserver
from collector.outcomes import Outcomes
from collector.plan import Plan, plan_of
from collector.prompts import Inventory, check_rows
from collector.protocols import Protocol, get_protocol
from collector.settings import CollectSettings
from collector.stalls import Outstanding
from collector.stopping import StopSwitch, first_error
from collector.verifiers import Verifier, verifier_of
from collector.view import LiveRun
from collector.work import Work

__all__ = ["CollectResult", "check_apart", "collect"]

_PENDING_PER_SLOT = 2
_PENDING_AT_LEAST = 16
_STARTED_TOGETHER = 32
"""Workers that start in one pass of the event loop. All at once, 4,000 of them opened every connection before a request
went out, and the replies then came as one crowd: 1.12 of the ideal makespan at a latency of 2 s, not 1.08."""


@dataclass(frozen=True, slots=True)
class CollectResult:
    """What a run did. `rollouts` counts rows on disk: this run's and the `resumed` ones, which were there before.
    `failures` counts the rollouts that failed for good, by class.

    `flags` counts this run's rollouts by flag, `retries` its failed attempts that were followed by another, by class;
    `stale_retries` the requests that were sent again at once because a connection of the pool was dead. `high_water`
    is the most requests that were out at once.
    """

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
    flags: Mapping[str, int] = field(default_factory=dict)
    retries: Mapping[str, int] = field(default_factory=dict)
    stale_retries: int = 0
    limits: LimitRange | None = None
    """Where the limit found itself: what it was."""
    stops: Mapping[str, int] = field(default_factory=dict)
    """Prompts by the reason for which they stopped (see `early_stop.rule.Stop`); empty without early stop."""

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
    disk: Disk = DISK,
) -> CollectResult:
    """Collects the rollouts of every row of the input into `settings.output`, and seals it.

    Order: requests start in input order, retries when they are due; the sealed file is in aabbcc order. A rollout that
    fails is a row of the failures file and never ends the run. Raises a PairmillError when the input, the output, the
    settings or the server cannot be used; whatever was acknowledged by then is on disk, and `resume=True` goes on from
    there: with the same settings, save that the model may be served elsewhere, and that `limit` may have grown.
    """
    observer = observer or SilentObserver()
    paths = StreamPaths.for_output(settings.output)
    check_apart(settings, paths)
    verifier = verifier_of(settings)
    inventory = check_rows(settings, verifier.check if verifier else None)
    check_output(paths, resume=settings.resume, overwrite=settings.overwrite)
    protocol = get_protocol(settings.protocol)
    if settings.samples_per_request > 1 and not protocol.several:
        raise UsageError(f"--samples-per-request: --protocol {protocol.name} has no request for several samples")
    # The verifier is entered before the journal: a judge that is not there is found while the output is untouched.
    servers = open_endpoints(settings, protocol, transport, observer)
    async with servers as endpoints, verifier or nullcontext():
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
            disk=disk,
        )
        async with journal_context as journal:
            observer.found(settings, inventory.rows, inventory.tasks)
            for note in inventory.notes:
                observer.note(note)
            if verifier is None and protocol.name != "agent":
                observer.note("no --verifier: these rollouts will carry no reward, and pairs need one")
            plan = await plan_of(settings, protocol, inventory, journal, observer, disk)
            run = _Run(settings, protocol, endpoints, verifier, journal, observer, stop or StopSwitch(), plan)
            return await run.through(inventory)


def check_apart(settings: CollectSettings, paths: StreamPaths) -> None:
    """A run replaces and removes the files beside its output: its input may be none of them."""
    source = settings.input.resolve()
    clash = next((path for path in (*paths.all, *paths.scratch) if path.resolve() == source), None)
    if clash is not None:
        raise UsageError(f"--input {settings.input}: the run writes a file of that name; give another --output")


class _Run:
    """The workers of one run, and what they share."""

    def __init__(
        self,
        settings: CollectSettings,
        protocol: Protocol,
        endpoints: Endpoints,
        verifier: Verifier | None,
        journal: Journal,
        observer: Observer,
        stop: StopSwitch,
        plan: Plan,
    ) -> None:
        rng = random.Random(settings.seed)
        slots = settings.num_samples_in_parallel
        self.settings = settings
        self.endpoints = endpoints
        self.journal = journal
        self.observer = observer
        self.stop = stop
        self.plan = plan
        self.outstanding = Outstanding(settings.timeouts, observer)
        self.outcomes = Outcomes(settings, verifier, journal, observer, stop, rng, plan.settled)
        jobs = plan.jobs(lambda: self.attempts.samples)
        most_pending = max(_PENDING_AT_LEAST, _PENDING_PER_SLOT * slots)
        self.work = Work(jobs, most_pending, more_may_come=plan.more_may_come)
        plan.begin(self.work)
        self.health = Health(endpoints, protocol, observer, self.work.wake_all, self._end_with)
        self.steering: Steering | None = None
        self.load: LoadWatch | None = None
        self.limiter = FixedLimiter(slots)
        if settings.parallel_min is not None:
            self.steering = Steering(settings, endpoints, observer, self._more_may_be_sent)
            self.limiter, self.load = self.steering.limiter, self.steering.load
        elif not settings.resume:
            forget_limits(settings.output)
        if self.load is None and observer.wants_load:
            self.load = LoadWatch({each.name: each.client for each in endpoints.all})
        self._remaining = 0
        self._started = 0
        self._group: TaskGroup | None = None
        self._workers = anyio.CancelScope()
        self._asking = True
        self._gone: ServerError | None = None
        self.attempts = Attempts(
            settings, protocol, endpoints, self.limiter, self.work, self.health, self.outstanding, self.outcomes,
            observer, rng, self.steering,
        )  # fmt: skip

    async def through(self, inventory: Inventory) -> CollectResult:
        """Runs the workers until there is no task left, the stop switch is thrown, or the server is gone."""
        began = time.monotonic()
        resumed = len(self.journal.done)
        for note in self.journal.notes:
            self.observer.note(note)
        self.observer.started(resumed, self.plan.tasks)
        try:
            view = LiveRun(
                self.outstanding, self.limiter, self.endpoints, self.outcomes.retries, self.journal.done, self.load
            )
            self.observer.watching(view)
            with calm_collector():
                await self._collect(self.plan.tasks - resumed)
        finally:
            if self.steering is not None:
                self.steering.close()
            self.observer.ended()
        outcomes = self.outcomes
        interrupted = self.stop.thrown and resumed + outcomes.durable + outcomes.failed < self.plan.tasks
        sealed = await self._finish(inventory, interrupted)
        return CollectResult(
            settings=self.settings,
            paths=self.journal.paths,
            rows=inventory.rows,
            tasks=self.plan.tasks,
            rollouts=resumed + outcomes.durable,
            resumed=resumed,
            failures=dict(outcomes.failures),
            interrupted=interrupted,
            high_water=self.outstanding.high_water,
            seconds=time.monotonic() - began,
            seal=sealed,
            flags=dict(outcomes.flags),
            retries=dict(outcomes.retries),
            stale_retries=self.endpoints.stale_retries,
            stops=self.plan.counts().get("stopped", {}),
            limits=self.steering.range if self.steering is not None else None,
        )

    async def _collect(self, remaining: int) -> None:
        """Returns when every task that began has ended, and its row is durable."""
        self._remaining = remaining
        try:
            async with anyio.create_task_group() as beside:
                beside.start_soon(self.outcomes.delivery.watch)
                beside.start_soon(self.outstanding.watch)
                beside.start_soon(self._stop_when_asked)
                self.health.watch(beside)
                if self.load is not None:
                    beside.start_soon(self.load.watch)
                self.outcomes.begin(beside)
                with self._workers:
                    async with anyio.create_task_group() as self._group:
                        await self._start(self._group)
                self._group = None
                self._asking = False
                await self.outcomes.finish()
                beside.cancel_scope.cancel()
        except* Exception as errors:
            # Workers fail together when the disk or the server does: the first one tells the story.
            raise first_error(errors) from None
        if self._gone is not None:
            raise self._gone

    async def _start(self, group: TaskGroup) -> None:
        """Starts workers a few at a time: between, the loop sends what those before have made ready."""
        while self._lacks_workers:
            self._start_one(group)
            if self._started % _STARTED_TOGETHER == 0:
                await anyio.lowlevel.checkpoint()

    @property
    def _lacks_workers(self) -> bool:
        return self._started < min(self._remaining, self.limiter.limit)

    def _start_one(self, group: TaskGroup) -> None:
        self._started += 1
        group.start_soon(self._worker)

    def _more_may_be_sent(self) -> None:
        """The limit has grown: there are as many workers as slots again, and those who found no room look again."""
        while self._group is not None and self._lacks_workers:
            self._start_one(self._group)
        self.work.wake_all()

    async def _worker(self) -> None:
        """Makes one attempt after another, each as soon as a slot, an endpoint and a job are there."""
        outcomes, work, limiter, endpoints, attempts = (
            self.outcomes, self.work, self.limiter, self.endpoints, self.attempts,
        )  # fmt: skip
        while True:
            if outcomes.full:
                await outcomes.room()
            await limiter.acquire()
            room = endpoints.have_room
            job = work.take() if room else None
            if job is not None:
                await attempts.make(job)
                continue
            limiter.release()
            if not await work.more(room=room):
                return

    def _end_with(self, gone: ServerError) -> None:
        """The server is gone: its requests are given up, the replies that came are still judged and written. When
        nothing is asked any more, judges may still be at work, and nobody misses it."""
        if not self._asking:
            return
        self._gone = gone
        self._workers.cancel()

    async def _stop_when_asked(self) -> None:
        await self.stop.wait()
        self.work.stop()

    async def _finish(self, inventory: Inventory, interrupted: bool) -> SealResult | None:
        counts = {"failed": self.outcomes.failed, **self.plan.counts()}
        if self.steering is not None:
            counts["parallel"] = self.steering.range.counts()
        if interrupted:
            await self.journal.close("interrupted", counts)
            return None
        await self.plan.finish()
        return await self.journal.seal(inventory.rows, repeats_of=self.plan.repeats_of, counts=counts)
