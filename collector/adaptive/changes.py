"""A change of an endpoint's limit: when, from what to what, and why."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Cut", "LimitChange"]


@dataclass(frozen=True, slots=True)
class LimitChange:
    """`at` is in monotonic seconds, `old` and `new` count requests in flight at `endpoint`, `reason` is a few words."""

    at: float
    endpoint: str
    old: int
    new: int
    reason: str


@dataclass(frozen=True, slots=True)
class Cut:
    """What a law asks for: the limit down to `to`, and no growth for `pause` seconds."""

    to: float
    pause: float
    reason: str
