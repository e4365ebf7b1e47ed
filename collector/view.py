"""A run as its watcher may read it: how much is out, at which endpoint, and what the servers say of themselves."""

from __future__ import annotations

from collections.abc import Mapping

from collector.endpoints import Endpoints
from collector.journal.keys import KeySet
from collector.limiter import Limiter
from collector.load import LoadWatch, ServerLoad
from collector.records.rows import PromptRow
from collector.stalls import Outstanding

__all__ = ["LiveRun"]


class LiveRun:
    """A RunView: every property is read from the run's own parts at the moment of asking."""

    def __init__(
        self,
        outstanding: Outstanding,
        limiter: Limiter,
        endpoints: Endpoints,
        retries: Mapping[str, int],
        done: KeySet,
        load: LoadWatch | None = None,
    ) -> None:
        self._outstanding = outstanding
        self._limiter = limiter
        self._endpoints = endpoints
        self._done = done
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

    def there_before(self, row: PromptRow) -> int:
        done = self._done
        return sum((row.task_index, index) in done for index in range(done.num_repeats)) if len(done) else 0

    @property
    def load(self) -> ServerLoad | None:
        return self._load.total if self._load is not None else None
