"""What a run of the collector came to, for its caller and the terminal's last lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from collector.adaptive.steering import LimitRange
from collector.journal import SealResult, StreamPaths
from collector.settings import CollectSettings

__all__ = ["CollectResult"]


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
