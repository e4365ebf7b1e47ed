"""Which endpoints are away, and when they are back: nothing is sent to one that is, and it is asked until it answers.

An endpoint goes away when a request to it got no answer, and nothing else from it did either since that request was
sent: no connection, or a hung server. One reply among many failures means that it lives. What it is asked is the check
of the start (`client.preflight`), so it comes back as it was. One that answers, but with errors alone, is not away: it
is passed over while another works (`breaker`), and that is told. When none works it is asked for its model list: one
that has an error for that too is down, whatever it answers, and away until it has none. So an outage costs no attempts,
and a prompt that the server cannot bear costs no more than its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import anyio
from anyio.abc import TaskGroup

from collector.breaker import is_endpoints_fault
from collector.client import check_endpoint
from collector.client.preflight import NotReadyError, UnreachableError
from collector.endpoints import Endpoint, Endpoints, Replicas
from collector.errors import RequestError, ServerError
from collector.observer import Observer
from collector.protocols import Protocol

__all__ = ["Health", "is_unanswered"]

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_OF_ITS_OWN, _OF_OURS = "--rollout-timeout", "--dead-after"
"""Which limit holds for errors that a server gets over by itself, and for those (no key, another model) that somebody
has to see to: all that is sent meanwhile would fail for good."""
_PROBE_SECONDS = 10.0
"""A server that takes longer for its model list is hung: it would hold requests as long."""


def is_unanswered(error: RequestError) -> bool:
    """Whether the server said nothing at all: no connection, or no reply in time."""
    return error.connection or error.failure_class == "timeout"


@dataclass(frozen=True, slots=True)
class _Outage:
    """An endpoint that answers, and with errors alone: since when, how many seconds of it end the run, and which flag
    says so."""

    since: float
    seconds: float
    flag: str


class Health:
    """The health of a run's endpoints. `returned` is called whenever one is back. `gone` is called when all replicas of
    one kind (of the run's server, or of one agent) have been away or refused us for `dead_after` seconds, or answered
    with errors of their own for the time of a rollout's attempts: with the error that says so."""

    def __init__(
        self,
        endpoints: Endpoints,
        protocol: Protocol,
        observer: Observer,
        returned: Callable[[], None],
        gone: Callable[[ServerError], None],
    ) -> None:
        self._endpoints = endpoints
        self._protocol = protocol
        self._observer = observer
        self._returned = returned
        self._gone = gone
        self._tasks: TaskGroup | None = None
        self._told: set[Endpoint] = set()
        self._told_of_errors: set[Endpoint] = set()
        self._down: dict[Endpoint, _Outage] = {}
        """Those that are away though they answer."""

    def watch(self, tasks: TaskGroup) -> None:
        """Begins: endpoints that are away are asked by tasks of `tasks`, which the caller cancels at the end."""
        self._tasks = tasks
        for endpoint in self._endpoints.all:
            if endpoint.away:
                self._told.add(endpoint)
                tasks.start_soon(self._ask, endpoint, "it was not there at the start")

    def unanswered(self, endpoint: Endpoint, error: RequestError, sent: float) -> None:
        """A request sent at `sent` got no answer."""
        if endpoint.away or endpoint.last_reply >= sent:
            return
        endpoint.away = True
        endpoint.watch.failed()
        if self._tasks is not None:
            cause = str(error).removeprefix(f"{endpoint.name}: ")
            self._tasks.start_soon(self._ask, endpoint, cause)

    def replied(self, endpoint: Endpoint, now: float) -> None:
        """The endpoint answered something, at `now`."""
        endpoint.last_reply = now
        if endpoint.away and endpoint not in self._down:
            self._back(endpoint)

    def refused(self, endpoint: Endpoint, error: RequestError, now: float) -> None:
        """The endpoint answered with an error, at `now`."""
        if error.status is None or not is_endpoints_fault(error.status):
            return
        opened = endpoint.breaker.failed(now)
        cause = str(error).removeprefix(f"{endpoint.name}: ")
        if any(each.works for each in self._group_of(endpoint).endpoints):
            if opened:
                self._told_of_errors.add(endpoint)
                self._observer.note(
                    f"{endpoint.name}: gives errors alone ({cause}); its prompts go to the other endpoints meanwhile"
                )
        elif not endpoint.away and (opened or endpoint.breaker.try_again(now)):
            self._doubt(endpoint, cause, now)

    def _doubt(self, endpoint: Endpoint, cause: str, now: float) -> None:
        """Sends nothing more to an endpoint of errors until its model list says that they are the prompts'."""
        if self._tasks is not None:
            endpoint.away = True
            self._down[endpoint] = _Outage(now, endpoint.settings.timeouts.rollout, _OF_ITS_OWN)
            self._tasks.start_soon(self._ask, endpoint, cause)

    def worked(self, endpoint: Endpoint) -> None:
        """The endpoint gave a good reply. Of one that is down to a request from before: its model list says when it is
        back, or each such reply would let through requests that fail."""
        if endpoint in self._down:
            return
        if endpoint.breaker.worked():
            if endpoint in self._told_of_errors:
                self._told_of_errors.discard(endpoint)
                self._observer.note(f"{endpoint.name}: gives good replies again")
            self._returned()

    def _group_of(self, endpoint: Endpoint) -> Replicas:
        return next(group for group in self._endpoints.groups if endpoint in group.endpoints)

    def _back(self, endpoint: Endpoint) -> None:
        endpoint.away = False
        endpoint.watch.replied()
        self._down.pop(endpoint, None)
        if endpoint in self._told:
            self._told.discard(endpoint)
            self._observer.note(f"{endpoint.name}: answers again")
        self._returned()

    async def _ask(self, endpoint: Endpoint, cause: str) -> None:
        """Asks an endpoint that went away until it is back: at once, then with growing pauses."""
        pause = 0.0
        group = self._group_of(endpoint)
        while endpoint.away:
            try:
                await check_endpoint(endpoint.client, endpoint.settings, self._protocol, within=_PROBE_SECONDS)
            except ServerError as error:
                if not isinstance(error, UnreachableError):  # it is there, and refuses us, or serves something else now
                    cause = str(error).removeprefix(f"{endpoint.name}: ")
                self._note_failure(endpoint, error)
                if self._is_the_end(group, cause):
                    return
                self._tell(endpoint, group, cause)
            else:
                if endpoint.away:
                    self._back(endpoint)
                return
            pause = min(max(2 * pause, _FIRST_PAUSE), _LONGEST_PAUSE)
            await anyio.sleep(pause)

    def _note_failure(self, endpoint: Endpoint, error: ServerError) -> None:
        if not endpoint.away:
            return  # it answered something else meanwhile
        before = self._down.get(endpoint)
        if isinstance(error, NotReadyError):
            seconds, flag = endpoint.settings.timeouts.rollout, _OF_ITS_OWN
        elif isinstance(error, UnreachableError):
            self._down.pop(endpoint, None)
            endpoint.watch.failed()
            return
        else:
            seconds, flag = endpoint.settings.retry.dead_after, _OF_OURS
        if before is None or before.flag != flag:
            self._down[endpoint] = _Outage(time.monotonic(), seconds, flag)
            endpoint.watch.replied()
            self._told.discard(endpoint)  # what was told of it is over

    def _is_the_end(self, group: Replicas, cause: str) -> bool:
        """Whether all of a group are gone for good; says so to the run."""
        if not all(self._is_gone(endpoint) for endpoint in group.endpoints):
            return False
        names = ", ".join(endpoint.name for endpoint in group.endpoints)
        what = f"no connection for {group.endpoints[0].settings.retry.dead_after:g} seconds"
        way_out = "start the server" if len(group.endpoints) == 1 else "start one of them"
        outage = next((self._down[endpoint] for endpoint in group.endpoints if endpoint in self._down), None)
        if outage is not None:
            what = f"nothing but errors for {outage.seconds:g} seconds ({outage.flag})"
            way_out = way_out if outage.flag == _OF_ITS_OWN else "see to that"
        self._gone(
            ServerError(
                f"{names}: {what} ({cause}); what was collected is on disk: {way_out} and run again with --resume"
            )
        )
        return True

    def _is_gone(self, endpoint: Endpoint) -> bool:
        outage = self._down.get(endpoint)
        if outage is not None:
            return endpoint.away and time.monotonic() - outage.since >= outage.seconds
        return endpoint.away and endpoint.watch.failing_for() >= endpoint.settings.retry.dead_after

    def _tell(self, endpoint: Endpoint, group: Replicas, cause: str) -> None:
        if endpoint in self._told or not endpoint.away:
            return
        self._told.add(endpoint)
        outage = self._down.get(endpoint)
        if group.all_away and outage is not None:
            self._observer.note(
                f"{endpoint.name}: gives errors alone, for its model list too ({cause}); nothing is sent until that is"
                f" over; after {outage.seconds:g} seconds ({outage.flag}) the run ends"
            )
        elif group.all_away:
            patience = endpoint.settings.retry.dead_after
            self._observer.note(f"{endpoint.name}: no connection; without one for {patience:g} seconds the run ends")
        else:
            self._observer.note(f"{endpoint.name}: gone ({cause}); its prompts go to the other endpoints meanwhile")
