"""What a sweep writes down: one record for each attempt at a rollout, one for each trial. Plain data and their JSON.

Times are in seconds, from the begin of the trial. No prompt, no answer and no header is in them.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["AUTO", "LimitPath", "LoadFigures", "Phase", "RequestRecord", "TrialRecord"]

Phase = Literal["warm-up", "measured", "tail"]
"""When the attempt ended: before the measured window, in it, or after it, when nothing new was sent any more."""


AUTO = 0
"""The level of a trial whose limit found itself."""


class RequestRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One attempt. `task` counts the prompts of the trial from 0, `row` names the line of the input, `repeat` which
    rollout of the prompt it is. `failure` is the class of what went wrong; `final` that no further attempt followed.
    `group_pairs`: the usable pairs that the prompt's rollouts gave, on the first of them, where all were there."""

    trial: int
    level: int
    phase: Phase
    task: int
    row: int
    repeat: int
    attempt: int
    sent: float
    latency: float
    input_tokens: int | None = None
    output_tokens: float | None = None
    reward: float | None = None
    finish_reason: str | None = None
    failure: str | None = None
    final: bool = True
    endpoint: str = ""
    flags: tuple[str, ...] = ()
    group_pairs: int | None = None

    @property
    def ended(self) -> float:
        return self.sent + self.latency

    @property
    def truncated(self) -> bool:
        return self.finish_reason == "length" or "truncated" in self.flags


class LoadFigures(msgspec.Struct, kw_only=True, frozen=True):
    """What the server said of itself in the measured window, over `polls` readings. Preemptions are those that were
    added; `first_token` is the server's own mean time to the first token, in seconds."""

    polls: int
    running: float
    running_max: float
    waiting: float
    waiting_max: float
    kv_max: float | None = None
    preemptions: float | None = None
    first_token: float | None = None


class LimitPath(msgspec.Struct, kw_only=True, frozen=True):
    """A limit that found itself, over a whole trial. `steps` are (seconds, limit from then on, reason), `loads` are
    what the server said: (seconds, running, waiting)."""

    steps: tuple[tuple[float, int, str], ...]
    loads: tuple[tuple[float, float, float], ...] = ()


class TrialRecord(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One level, once; `AUTO` is one too, and has `auto`.

    `began` is UTC; `first` is the place of its first prompt in the sweep's order, `prompts` how
    many were begun. `warm`: every slot had turned over before the window; `enough`: so many requests ended in the
    window as a level needs. Shares of the client's time are of one core."""

    trial: int
    level: int
    part: int
    """Which pass over the levels it belongs to, from 1."""
    began: str
    first: int
    prompts: int
    warm: bool
    enough: bool
    warmup_s: float
    measured_s: float
    tail_s: float
    rollouts: int
    """Those that ended in the window."""
    in_flight: float
    """Requests in flight over the window: the mean by time."""
    in_flight_max: int
    client_cpu: float
    lag_p50: float
    """How late the event loop was for a timer, in seconds."""
    lag_p99: float
    lag_max: float
    machine_load: float
    """The system's load average of one minute at the end, of all programs, for each core."""
    stale_retries: int = 0
    load: LoadFigures | None = None
    auto: LimitPath | None = None
