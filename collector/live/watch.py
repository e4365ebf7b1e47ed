"""How a run is to be watched: on screen, by Prometheus, and with which gap a pair counts as usable."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Watch"]


@dataclass(frozen=True, slots=True)
class Watch:
    """`progress` is `bar`, `plain` lines, `off`, or `auto`: a bar in a terminal and lines elsewhere. `metrics_port` is
    where Prometheus may ask: 0 takes a free one, None is none.

    `gap` and `min_chosen` say when a prompt has a usable pair, as `collector.usable` takes them. None: as the run's
    early stop has them, else the pairing stage's own default and no least reward.
    """

    progress: str = "auto"
    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    gap: float | None = None
    min_chosen: float | None = None
