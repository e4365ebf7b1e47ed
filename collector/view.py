"""A run as its watcher may read it: how much is out, at which endpoint, and what the servers say of themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from collector.endpoints import Endpoints
from collector.limiter import Limiter
from collector.stalls import Outstanding

if TYPE_CHECKING:
    from collector.load import ServerLoad

__all__ = ["LiveRun"]


class LiveRun:
    """A RunView: every property is read from the run's own parts at the moment of asking. `load` asks for the servers'
    last word."""

    def __init__(
        self,
        outstanding: Outstanding,
        limiter: Limiter,
        endpoints: Endpoints,
        retries: Mapping[str, int],
        load: Callable[[], ServerLoad | None] = lambda: None,
    ) -> None:
        self._outstanding = outstanding
        self._limiter = limiter
        self._endpoints = endpoints
        self._load = load
        self.retries = retries

    @property
    def in_flight(self) -> int:
        return len(self._outstanding)

    @property
    def limit(self) -> int:
        return self._limiter.limit

    @property
    def endpoints(self) -> dict[str, int]:
        return {endpoint.name: endpoint.in_flight for endpoint in self._endpoints.all}

    @property
    def load(self) -> ServerLoad | None:
        return self._load()
