"""Which endpoints are away, and when they are back: nothing is sent to one that is, and it is asked until it answers.

An endpoint goes away when a request to it got no answer, and nothing else from it did either since that request was
sent: no connection, or a hung server. One reply among many failures means that it lives. What it is asked is the check
of the start (`client.preflight`), so it comes back as it was. One that answers, but with errors alone, is not away: it
is passed over while another works (`breaker`), and that is told.
"""

from __future__ import annotations

from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup

from collector.breaker import is_endpoints_fault
from collector.client import check_endpoint
from collector.client.preflight import UnreachableError
from collector.endpoints import Endpoint, Endpoints, Replicas
from collector.errors import RequestError, ServerError
from collector.observer import Observer
from collector.protocols import Protocol

__all__ = ["Health", "is_unanswered"]

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_PROBE_SECONDS = 10.0
"""A server that takes longer for its model list is hung: it would hold requests as long."""


def is_unanswered(error: RequestError) -> bool:
    """Whether the server said nothing at all: no connection, or no reply in time."""
    return error.connection or error.failure_class == "timeout"


class Health:
    """The health of a run's endpoints. `returned` is called whenever one is back, `gone` when all replicas of one kind
    (of the run's server, or of one agent) have been away for `dead_after` seconds: with the error that says so."""

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
        if endpoint.away:
            self._back(endpoint)

    def refused(self, endpoint: Endpoint, error: RequestError, now: float) -> None:
        """The endpoint answered with an error, at `now`."""
        if error.status is None or not is_endpoints_fault(error.status) or not endpoint.breaker.failed(now):
            return
        group = self._group_of(endpoint)
        if any(each.works for each in group.endpoints):
            self._told_of_errors.add(endpoint)
            cause = str(error).removeprefix(f"{endpoint.name}: ")
            self._observer.note(
                f"{endpoint.name}: gives errors alone ({cause}); its prompts go to the other endpoints meanwhile"
            )

    def worked(self, endpoint: Endpoint) -> None:
        """The endpoint gave a good reply."""
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
                if not isinstance(error, UnreachableError):  # it is there, and serves something else now
                    cause = str(error)
                endpoint.watch.failed()
                if self._is_the_end(group, cause):
                    return
                self._tell(endpoint, group, cause)
            else:
                if endpoint.away:
                    self._back(endpoint)
                return
            pause = min(max(2 * pause, _FIRST_PAUSE), _LONGEST_PAUSE)
            await anyio.sleep(pause)

    def _is_the_end(self, group: Replicas, cause: str) -> bool:
        """Whether all of a group are gone for good; says so to the run."""
        patience = group.endpoints[0].settings.retry.dead_after
        if not all(endpoint.away and endpoint.watch.failing_for() >= patience for endpoint in group.endpoints):
            return False
        names = ", ".join(endpoint.name for endpoint in group.endpoints)
        start = "the server" if len(group.endpoints) == 1 else "one of them"
        error = ServerError(
            f"{names}: no connection for {patience:g} seconds ({cause});"
            f" what was collected is on disk: start {start} and run again with --resume"
        )
        self._gone(error)
        return True

    def _tell(self, endpoint: Endpoint, group: Replicas, cause: str) -> None:
        if endpoint in self._told:
            return
        self._told.add(endpoint)
        if group.all_away:
            patience = endpoint.settings.retry.dead_after
            self._observer.note(f"{endpoint.name}: no connection; without one for {patience:g} seconds the run ends")
        else:
            self._observer.note(f"{endpoint.name}: gone ({cause}); its prompts go to the other endpoints meanwhile")
