"""How long and how often one rollout is tried: RetryPolicy and Timeouts, each frozen and checked once."""

from __future__ import annotations

from dataclasses import dataclass

from collector.errors import UsageError

__all__ = ["RetryPolicy", "Timeouts"]

_LONGEST_WAIT = 1e7


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long one rollout is tried. Seconds throughout.

    Full jitter over an exponential step: AWS's measurements show it clears a contended server soonest. A server's
    Retry-After is obeyed up to `retry_after_cap`, because some say a day. Connection failures that come one after
    another with no reply between them, for `dead_after` seconds, stop the run: the server is gone.
    """

    max_attempts: int = 6
    backoff_base: float = 0.5
    backoff_cap: float = 20.0
    retry_after_cap: float = 60.0
    dead_after: float = 30.0

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise UsageError(f"--max-attempts {self.max_attempts}: give 1 or more")
        for name in ("backoff_base", "backoff_cap", "retry_after_cap", "dead_after"):
            value = getattr(self, name)
            if not 0 <= value <= _LONGEST_WAIT:
                flag = f"--{name.replace('_', '-')}"
                raise UsageError(f"{flag} {value}: give seconds, 0 or more and at most {_LONGEST_WAIT:.0f}")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `connect` and `total` (from the start of a request to its whole reply) are for one request, `rollout`
    for all attempts at one rollout: none begins later. After `stall` seconds without any reply the user is told."""

    connect: float = 10.0
    total: float = 600.0
    rollout: float = 3600.0
    stall: float = 60.0

    def __post_init__(self) -> None:
        for flag, value in (
            ("--connect-timeout", self.connect),
            ("--request-timeout", self.total),
            ("--rollout-timeout", self.rollout),
            ("--stall-after", self.stall),
        ):
            if not 0 < value <= _LONGEST_WAIT:
                raise UsageError(f"{flag} {value}: give seconds, more than 0 and at most {_LONGEST_WAIT:.0f}")
