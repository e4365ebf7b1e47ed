"""What watches a run: told of every rollout on disk, every failure, every note. The terminal's one is in `live`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from collector.errors import RolloutError
from collector.records.rows import PromptRow, Reply, Task, Verdict
from collector.settings import CollectSettings

if TYPE_CHECKING:
    from collector.adaptive.changes import LimitChange
    from collector.load import ServerLoad

__all__ = ["Observer", "RunView", "SilentObserver"]


class RunView(Protocol):
    """What a watcher may read of a run at any moment while it goes on."""

    @property
    def in_flight(self) -> int:
        """Requests that are out."""

    @property
    def limit(self) -> int:
        """How many may be out at once, now."""

    @property
    def endpoints(self) -> Mapping[str, int]:
        """Each endpoint's name, fit to be shown -> the requests that are out at it."""

    @property
    def retries(self) -> Mapping[str, int]:
        """The failed attempts that were followed by another, by class."""

    def there_before(self, row: PromptRow) -> int:
        """How many of a row's rollouts were on disk when the run began."""

    @property
    def load(self) -> ServerLoad | None:
        """What the servers last said of themselves, all together; None when they do not, or nobody asked them."""


class Observer(Protocol):
    """Watches a run. Called on the run's own thread, so it must be quick and must not raise."""

    @property
    def wants_load(self) -> bool:
        """Whether it will read `RunView.load`: the servers are asked for it only then. Read once, before `watching`."""

    def found(self, settings: CollectSettings, rows: int, tasks: int) -> None: ...
    def note(self, text: str) -> None: ...
    def started(self, done: int, tasks: int) -> None: ...
    def watching(self, view: RunView) -> None:
        """Called once, after `started`, when requests are about to begin. A run that asks no server never calls it."""

    def answered(self, endpoint: str, seconds: float) -> None:
        """A request to the endpoint of that name got a good reply, after so long."""

    def rollout(self, task: Task, reply: Reply, verdict: Verdict | None) -> None: ...
    def failed(self, task: Task, error: RolloutError) -> None: ...
    def limit_changed(self, change: LimitChange) -> None:
        """More or fewer requests may be out at an endpoint."""

    def fewer(self, row: PromptRow, tasks: int) -> None:
        """So many further tasks of a row will not be made: its prompt has what it needs, or cannot get it."""

    def ended(self) -> None: ...


class SilentObserver:
    """An observer that shows nothing."""

    wants_load = False

    def found(self, settings: CollectSettings, rows: int, tasks: int) -> None: ...
    def note(self, text: str) -> None: ...
    def started(self, done: int, tasks: int) -> None: ...
    def watching(self, view: RunView) -> None: ...
    def answered(self, endpoint: str, seconds: float) -> None: ...
    def rollout(self, task: Task, reply: Reply, verdict: Verdict | None) -> None: ...
    def failed(self, task: Task, error: RolloutError) -> None: ...
    def limit_changed(self, change: LimitChange) -> None: ...
    def fewer(self, row: PromptRow, tasks: int) -> None: ...
    def ended(self) -> None: ...
