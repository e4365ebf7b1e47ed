"""The sweep: pass after pass over the levels, each pass in an order of its own, closer around the knee after the first.

What is measured is safe after each trial; a sweep that goes on makes those that lack. Not covered here: how one trial
is measured (`trial`), and what follows from all of them (`summary`).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import httpx

from collector.endpoints import open_endpoints
from collector.errors import ReplyError, RequestError
from collector.journal.runfile import now as utc_now
from collector.observer import SilentObserver
from collector.parallelism.ends import TrialEnds
from collector.parallelism.folder import Folder, open_folder
from collector.parallelism.knees import plateau
from collector.parallelism.levels import refined
from collector.parallelism.meters import Flights
from collector.parallelism.records import AUTO, RequestRecord, TrialRecord
from collector.parallelism.settings import BenchSettings
from collector.parallelism.summary import Summary, summarise
from collector.parallelism.supply import Supply, drawn_rows
from collector.parallelism.trial import Plan, Trial, run_trial, settings_at
from collector.prompts import check_rows
from collector.protocols import Protocol as WireProtocol
from collector.protocols import get_protocol
from collector.records.rows import PromptRow
from collector.stopping import StopSwitch
from collector.verifiers import verifier_of

__all__ = ["CountPairs", "Swept", "Watcher", "sweep"]

CountPairs = Callable[[Path], Mapping[int, int]]
"""A file of rollouts -> task index -> its usable pairs; a task that is not named has none."""

_KNOWS_SALT = frozenset({"vllm", "sglang", "pairmill"})
"""What such servers say they are owned by, in the list of their models."""
_GOLDEN = 0.618034
"""Of the order of prompts: multiples of it, counted round, lie far apart however many there are."""


class Watcher(Protocol):
    """Told of a sweep's progress. It must be quick and must not raise. A level may be `AUTO`."""

    def note(self, text: str) -> None: ...
    def planned(self, levels: Sequence[int], done: int, left: int, cache: str) -> None:
        """The levels of the next passes, how many trials there are already and how many are to be made."""

    def began(self, part: int, level: int) -> None: ...
    def ended(self, trial: TrialRecord) -> None: ...


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep left: its summary, None when it was interrupted, and its folder's files."""

    summary: Summary | None
    folder: Path


async def sweep(
    settings: BenchSettings,
    *,
    watcher: Watcher,
    stop: StopSwitch,
    count_pairs: CountPairs | None = None,
    reports: Callable[[Summary], Mapping[str, bytes]] = lambda _: {},
    transport: httpx.AsyncBaseTransport | None = None,
) -> Swept:
    """Measures every level `settings.passes` times and writes what was found.

    `reports` makes the files that go beside the summary. Raises a PairmillError when the input, the folder, the
    settings or the server cannot be used; trials that were whole by then are on disk, and the collect settings'
    `resume` goes on from there.
    """
    collect = settings.collect
    verifier = verifier_of(collect)
    check_rows(collect, verifier.check if verifier else None)
    protocol = get_protocol(collect.protocol)
    rows = drawn_rows(collect)
    with open_folder(
        settings.folder, settings.identity(), resume=collect.resume, overwrite=collect.overwrite
    ) as folder:
        run = _Sweep(settings, folder, rows, protocol, watcher, stop, count_pairs, transport)
        return await run.through(reports)


class _Sweep:
    def __init__(
        self,
        settings: BenchSettings,
        folder: Folder,
        rows: list[PromptRow],
        protocol: WireProtocol,
        watcher: Watcher,
        stop: StopSwitch,
        count_pairs: CountPairs | None,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self.settings = settings
        self.collect = settings.collect
        self.folder = folder
        self.rows = rows
        self.protocol = protocol
        self.watcher = watcher
        self.stop = stop
        self.count_pairs = count_pairs
        self.transport = transport
        self.observer = _Notes(watcher)
        self._told = False
        self.whole = Supply(rows, self.collect, protocol, 0).repeats_at

    async def through(self, reports: Callable[[Summary], Mapping[str, bytes]]) -> Swept:
        facts = self.folder.facts
        facts.setdefault("began", utc_now())
        facts["cache"] = facts.get("cache") or await self._cache()
        facts |= {
            "prompts": len(self.rows),
            "repeats": self.collect.num_repeats,
            "endpoint": self.collect.endpoint,
            "protocol": self.collect.protocol,
            "input": self.collect.input.name,
            "pairs": self.settings.counting,
        }
        for part in range(1, self.settings.passes + 1):
            if not await self._pass(part):
                if self.folder.trials:
                    self.folder.write_summary("interrupted", facts)
                return Swept(None, self.folder.path)
        facts["rounds"] = self._rounds_of_prompts()
        summary = summarise(
            {"pairmill": _version(), **facts, "ended": utc_now()},
            self.folder.trials,
            self.folder.requests,
            self.whole,
            seed=self.collect.seed,
            paired=facts["cache"] != "disjoint",
        )
        for name, content in reports(summary).items():
            self.folder.write(name, content)
        self.folder.write_summary("finished", summary.to_json())
        return Swept(summary, self.folder.path)

    def _rounds_of_prompts(self) -> int:
        """How often a prompt was asked at most: in one trial, or, where trials go on from each other, in all."""
        trials = self.folder.trials
        disjoint = self.folder.facts["cache"] == "disjoint"
        most = max(trial.prompts + (trial.first if disjoint else 0) for trial in trials)
        return math.ceil(most / len(self.rows))

    async def _cache(self) -> str:
        """The way with caches: what was asked for, or, by itself, `salt` where the server says that it is one that
        knows it. Raises ServerError when the server is not there."""
        async with open_endpoints(self.collect, self.protocol, self.transport, self.observer) as endpoints:
            if self.settings.cache != "auto":
                return self.settings.cache
            if self.protocol.name == "agent":
                return "disjoint"
            for endpoint in endpoints.all:
                try:
                    models = await endpoint.client.get_json("/models")
                except (RequestError, ReplyError):
                    return "disjoint"
                if not _owners(models) <= _KNOWS_SALT or not _owners(models):
                    return "disjoint"
            return "salt"

    async def _pass(self, part: int) -> bool:
        """Makes what lacks of a pass; False when it was interrupted."""
        for levels in self._rounds(part):
            done = {trial.level for trial in self.folder.trials if trial.part == part}
            left = [level for level in levels if level not in done]
            self._tell(part, left)
            for level in left:
                self.watcher.began(part, level)
                trial = await self._trial(part, level)
                if trial is None:
                    return False
                self.watcher.ended(trial)
        return True

    def _rounds(self, part: int) -> Iterator[list[int]]:
        """The levels of a pass, in its order: first the coarse ones, and then, in the first pass, those around the
        knee; later passes know them all. A level that an earlier round of the first pass had is not repeated."""
        order = random.Random(f"{self.collect.seed} {part}")
        coarse = [*self.settings.coarse, *([AUTO] if self.settings.auto else [])]
        if part > 1:
            coarse += self._refined()
        order.shuffle(coarse)
        yield coarse
        if part == 1:
            further = self._refined()
            order.shuffle(further)
            yield further

    def _refined(self) -> list[int]:
        """The levels around the knee of the first pass over the coarse ones."""
        if self.settings.levels:
            return []
        first = {trial.level: trial.rollouts / trial.measured_s for trial in self.folder.trials if trial.part == 1}
        levels = [level for level in self.settings.coarse if level in first]
        knee = plateau(levels, [first[level] for level in levels])
        return [] if knee is None else list(refined(levels, knee))

    def _tell(self, part: int, left: list[int]) -> None:
        if left and (part == 1 or not self._told):
            self._told = True
            levels = sorted({*self.settings.coarse, *left})
            later = (self.settings.passes - part) * len(levels)
            self.watcher.planned(levels, len(self.folder.trials), len(left) + later, self.folder.facts["cache"])

    async def _trial(self, part: int, level: int) -> TrialRecord | None:
        trials = self.folder.trials
        number = 1 + max((trial.trial for trial in trials), default=0)
        cache = self.folder.facts["cache"]
        first = self._first(part)
        salt = f"pairmill-{self.folder.facts['began']}-{number}" if cache == "salt" else None
        with self.folder.rows.open("wb") as rows:
            trial = await self._measure(Plan(number, part, level, first, salt), rows)
        if trial is None:
            return None
        self.folder.facts["model"] = trial.model
        self._count(trial.requests)
        self.folder.add(trial.record, trial.requests)
        return trial.record

    def _first(self, part: int) -> int:
        """The place of a trial's first prompt. The levels of a pass all begin at the same one; passes begin far from
        each other, so that together they see many prompts."""
        if self.folder.facts["cache"] == "disjoint":
            return max((trial.first + trial.prompts for trial in self.folder.trials), default=0)
        return int(len(self.rows) * ((part - 1) * _GOLDEN % 1))

    async def _measure(self, plan: Plan, rows: IO[bytes]) -> Trial | None:
        verifier = verifier_of(self.collect)
        hopeful = bool(self.folder.trials)

        def ends(flights: Flights) -> TrialEnds:
            slots = settings_at(self.collect, plan.level)
            return TrialEnds(slots, verifier, flights, rows, self.observer, self.stop, hopeful=hopeful)

        warmup, seconds = self.settings.window(plan.level)
        return await run_trial(
            plan, self.collect, self.rows, self.protocol, verifier, ends,
            warmup=warmup, seconds=seconds, observer=self.observer, stop=self.stop, transport=self.transport,
        )  # fmt: skip

    def _count(self, requests: Sequence[RequestRecord]) -> None:
        """Puts the number of its usable pairs on the first rollout of each prompt that is whole."""
        groups: dict[int, list[RequestRecord]] = {}
        for one in requests:
            if one.failure is None:
                groups.setdefault(one.task, []).append(one)
        if self.count_pairs is None or not any(one.reward is not None for one in requests):
            return
        pairs = self.count_pairs(self.folder.rows)
        for task, some in groups.items():
            if len(some) == self.whole(task) > 1:
                some[0].group_pairs = pairs.get(task, 0)


class _Notes(SilentObserver):
    """Passes on what a run would tell its user, each text once: trials repeat themselves."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._told: set[str] = set()

    def note(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._watcher.note(text)


def _owners(models: Any) -> set[str]:
    """What the list of models says they are owned by."""
    data = models.get("data") if isinstance(models, dict) else None
    listed = data if isinstance(data, list) else []
    return {str(one.get("owned_by")) for one in listed if isinstance(one, dict)}


def _version() -> str:
    from importlib.metadata import version

    return version("pairmill")
