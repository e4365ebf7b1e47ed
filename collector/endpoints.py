"""Where each task's requests go: to one of the replicas of the run's server, or to the agent that its row names.

Repeats of a prompt go to one replica, whose prefix cache then holds the prompt; a replica that is full or away passes
its prompts on to the next in each prompt's own order. Not covered here: how a replica comes to be away (`health`).
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from operator import attrgetter

import httpx

from collector.breaker import Breaker
from collector.client import ConnectionWatch, ModelClient, check_endpoint
from collector.client.preflight import UnreachableError
from collector.errors import ServerError
from collector.observer import Observer
from collector.ports import check_ports
from collector.protocols import Protocol
from collector.protocols.agent import agent_of
from collector.records.rows import Task
from collector.rendezvous import preference
from collector.settings import CollectSettings

__all__ = ["Endpoint", "Endpoints", "Replicas", "open_endpoints"]

_SPARE = 1.25
"""Room above a fair share: hashing is uneven, and a prompt that has to move loses its prefix cache."""


class Endpoint:
    """One server. `limit` bounds its requests in flight; `away` while nothing is to be sent to it.

    `last_reply` is the monotonic time of the last answer of any kind. `breaker` is open while it answers with errors
    alone.
    """

    __slots__ = ("away", "breaker", "client", "in_flight", "last_reply", "limit", "name", "settings", "watch")

    def __init__(self, client: ModelClient, name: str, limit: int, settings: CollectSettings) -> None:
        self.client = client
        self.name = name
        self.limit = limit
        self.settings = settings
        self.watch = ConnectionWatch(settings.retry.dead_after)
        self.in_flight = 0
        self.last_reply = 0.0
        self.away = False
        self.breaker = Breaker()

    @property
    def works(self) -> bool:
        """Whether it is there, and gives more than errors."""
        return not self.away and not self.breaker.open

    @property
    def takes_more(self) -> bool:
        return not self.away and self.in_flight < self.limit


class Replicas:
    """Endpoints that serve the same: any of them may take any of their tasks."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self.endpoints = tuple(endpoints)
        self._last: tuple[str, list[Endpoint]] = ("", [])

    @property
    def all_away(self) -> bool:
        return all(endpoint.away for endpoint in self.endpoints)

    def other(self, endpoint: Endpoint) -> Endpoint | None:
        """One that takes more, beside `endpoint`."""
        return next((each for each in self.endpoints if each is not endpoint and each.takes_more), None)

    @property
    def has_room(self) -> bool:
        """Whether one takes more: of those that work, as long as any does."""
        some_work = False
        for endpoint in self.endpoints:
            if endpoint.works:
                if endpoint.in_flight < endpoint.limit:
                    return True
                some_work = True
        return not some_work and any(endpoint.takes_more for endpoint in self.endpoints)

    def choose(self, prompt_id: str, avoid: Endpoint | None = None, now: float = 0.0) -> Endpoint:
        """The first in the prompt's order that takes more; `avoid`, where its last attempt failed, only as the last
        resort. One that gives errors alone is passed over while another takes more, but for one try `now` and then.
        When none takes more, the prompt's first choice."""
        if len(self.endpoints) == 1:
            return self.endpoints[0]
        order = self._order(prompt_id)
        able = [endpoint for endpoint in order if endpoint.takes_more]
        working = [endpoint for endpoint in able if not endpoint.breaker.open]
        if working and len(working) < len(able):
            due = (endpoint for endpoint in able if endpoint is not avoid and endpoint.breaker.try_again(now))
            able = [one] if (one := next(due, None)) else working
        return next((endpoint for endpoint in able if endpoint is not avoid), able[0] if able else order[0])

    def _order(self, prompt_id: str) -> list[Endpoint]:
        if self._last[0] != prompt_id:  # repeats come one after another: one prompt is remembered
            self._last = prompt_id, preference(prompt_id, self.endpoints, attrgetter("name"))
        return self._last[1]


class Endpoints:
    """`model` is what the servers are asked for. Made by `open_endpoints`."""

    def __init__(self, main: Replicas, agents: dict[str, Replicas], model: str | None) -> None:
        self.model = model
        self.groups = tuple({id(group): group for group in (main, *agents.values())}.values())
        self._main = main
        self._agents = agents

    @property
    def all(self) -> tuple[Endpoint, ...]:
        return tuple(dict.fromkeys(endpoint for group in self.groups for endpoint in group.endpoints))

    @property
    def have_room(self) -> bool:
        """Whether the next task can be sent, whichever it is. While an agent is away nothing begins: rows come in
        order, and its own would pile up."""
        for group in self.groups:  # noqa: SIM110 - asked for each rollout: a generator would cost more than the rest
            if not group.has_room:
                return False
        return True

    @property
    def stale_retries(self) -> int:
        """How often a dead connection of the pool cost a second sending."""
        return sum(endpoint.client.stale_retries for endpoint in self.all)

    def group_of(self, task: Task) -> Replicas:
        """Those that may serve `task`: the agent its row names, where that is known, else the run's replicas."""
        if not self._agents:
            return self._main
        return self._agents.get(agent_of(task.row.fields) or "", self._main)


@asynccontextmanager
async def open_endpoints(
    settings: CollectSettings, protocol: Protocol, transport: httpx.AsyncBaseTransport | None, observer: Observer
) -> AsyncIterator[Endpoints]:
    """Opens a client for each server of the run, and checks that it is there.

    Raises ServerError when an agent, or the only server, is not; of several replicas one is enough, and each that is
    missing is away from the start and gets a note. Raises ServerError too for one that serves another model, and
    UsageError when more would be in flight at one than this machine can open connections to it.
    """
    async with AsyncExitStack() as stack:
        opened: dict[str, Endpoint] = {}
        for url in dict.fromkeys((*settings.base_urls, *settings.agent_urls.values())):
            if transport is None:
                check_ports(url, _limit(settings))
            here = replace(settings, base_url=url)
            client = await stack.enter_async_context(ModelClient(here, transport))
            named = settings.agent_urls or len(settings.base_urls) > 1
            name = client.where if named else settings.endpoint
            opened[url] = Endpoint(client, name, _limit(settings), here)
        alone = {url: Replicas([opened[url]]) for url in settings.agent_urls.values()}
        mains = [opened[url] for url in settings.base_urls]
        main = alone.get(settings.base_url) if len(mains) == 1 else None
        main = main or Replicas(mains)
        agents = {name: alone[url] for name, url in settings.agent_urls.items()}
        model = settings.model
        for group in {id(group): group for group in (main, *agents.values())}.values():
            model = await _check(group, protocol, model, observer)
        _note_limits(settings, observer)
        yield Endpoints(main, agents, model)


def _limit(settings: CollectSettings) -> int:
    if settings.parallel_per_endpoint is not None:
        return settings.parallel_per_endpoint
    replicas = len(settings.base_urls)
    if replicas == 1:
        return settings.num_samples_in_parallel
    return math.ceil(_SPARE * settings.num_samples_in_parallel / replicas)


def _note_limits(settings: CollectSettings, observer: Observer) -> None:
    replicas = len(settings.base_urls)
    most = replicas * _limit(settings)
    if settings.parallel_min is not None:
        return  # its limits find themselves
    if most < settings.num_samples_in_parallel:
        observer.note(
            f"--num-samples-in-parallel {settings.num_samples_in_parallel}: {replicas} endpoints with"
            f" --parallel-per-endpoint {_limit(settings)} take no more than {most} requests at once"
        )


async def _check(group: Replicas, protocol: Protocol, model: str | None, observer: Observer) -> str | None:
    """The model of a group of replicas; those that are not there are away, and noted, as long as one is."""
    missing: list[UnreachableError] = []
    first: Endpoint | None = None
    for endpoint in group.endpoints:
        try:
            model = await check_endpoint(endpoint.client, replace(endpoint.settings, model=model), protocol)
        except UnreachableError as error:
            endpoint.away = True
            endpoint.watch.failed()
            missing.append(error)
        except ServerError as error:
            if first is None:
                raise
            raise ServerError(
                f"{error} ({first.name} serves {model}: all endpoints of a run must serve the same model)"
            ) from None
        else:
            first = first or endpoint
    if first is None:
        raise missing[0]
    for absent in missing:
        observer.note(f"{absent} The run begins without it, and asks again.")
    for endpoint in group.endpoints:
        endpoint.settings = replace(endpoint.settings, model=model)
    return model
