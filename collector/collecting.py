"""The main path: rows in, a sealed stream of scored rollouts out.

One run, top to bottom: check the input, ask the server, open the journal, let workers (`crew`) pull jobs (`work`) and
make an attempt at each (`attempts`), wait until the last reply is judged and the last row durable (`outcomes`), then
seal. There are as many workers as slots, and more as a limit that finds itself grows (`adaptive`). A worker waits for
nothing but its request: rows go to the disk, slow verdicts are made and retries come due beside it. Not covered here:
how a request is made (`protocols`), sent (`client`) or written (`journal`).
"""

from __future__ import annotations

import random
import time
from contextlib import nullcontext
from dataclasses import replace

import anyio
import httpx

from collector.adaptive.log import forget_limits
from collector.adaptive.steering import Steering
from collector.attempts import Attempts
from collector.crew import Crew
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
from collector.result import CollectResult
from collector.settings import CollectSettings
from collector.stalls import Outstanding
from collector.stopping import StopSwitch, first_error
from collector.verifiers import Verifier, verifier_of
from collector.view import LiveRun
from collector.work import Work

__all__ = ["CollectResult", "check_apart", "collect"]

_PENDING_PER_SLOT = 2
_PENDING_AT_LEAST = 16


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
            self.steering = Steering(settings, endpoints, observer, lambda: self.crew.grow())
            self.limiter, self.load = self.steering.limiter, self.steering.load
        elif not settings.resume:
            forget_limits(settings.output)
        if self.load is None and observer.wants_load:
            self.load = LoadWatch({each.name: each.client for each in endpoints.all})
        self._asking = True
        self._gone: ServerError | None = None
        self.attempts = Attempts(
            settings, protocol, endpoints, self.limiter, self.work, self.health, self.outstanding, self.outcomes,
            observer, rng, self.steering,
        )  # fmt: skip
        self.crew = Crew(self.outcomes, self.work, self.limiter, endpoints, self.attempts)

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
        try:
            async with anyio.create_task_group() as beside:
                beside.start_soon(self.outcomes.delivery.watch)
                beside.start_soon(self.outstanding.watch)
                beside.start_soon(self._stop_when_asked)
                self.health.watch(beside)
                if self.load is not None:
                    beside.start_soon(self.load.watch)
                self.outcomes.begin(beside)
                await self.crew.through(remaining)
                self._asking = False
                await self.outcomes.finish()
                beside.cancel_scope.cancel()
        except* Exception as errors:
            # Workers fail together when the disk or the server does: the first one tells the story.
            raise first_error(errors) from None
        if self._gone is not None:
            raise self._gone

    def _end_with(self, gone: ServerError) -> None:
        """The server is gone: its requests are given up, the replies that came are still judged and written. When
        nothing is asked any more, judges may still be at work, and nobody misses it."""
        if not self._asking:
            return
        self._gone = gone
        self.crew.give_up()

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
