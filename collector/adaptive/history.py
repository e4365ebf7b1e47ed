"""The limits of a run's log over time: read back from its file, and drawn in one line of text."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

__all__ = ["Step", "limit_line", "read_steps"]

_BLOCKS = "▁▂▃▄▅▆▇█"
_PLAIN = "_.-=+*%#"
"""For a terminal that lacks the blocks: eight marks as well, from low to high."""
_WIDTH = 32


class _Line(msgspec.Struct):
    """What a line of the log says, as far as it is drawn."""

    seconds: float
    endpoint: str
    old: int
    new: int
    reason: str


@dataclass(frozen=True, slots=True)
class Step:
    """From `at` (seconds since the run began) on, `limit` requests may be in flight over all endpoints."""

    at: float
    limit: int
    reason: str


def read_steps(path: Path, most: int) -> list[Step]:
    """The steps of the log's last run, in order of time, none above `most`: a resumed run's log holds the earlier ones
    too, each beginning with its endpoints' starts. Lines that cannot be read are passed over, and so is a file."""
    limits: dict[str, int] = {}
    steps: list[Step] = []
    starting = False
    try:
        text = path.read_bytes()
    except OSError:
        return []
    for each in text.splitlines():
        try:
            line = msgspec.json.decode(each, type=_Line)
        except msgspec.MsgspecError:
            continue  # cut in two by a crash
        if line.old == 0 and (not starting or line.endpoint in limits):
            limits, steps = {}, []
        starting = line.old == 0
        limits[line.endpoint] = line.new
        if starting:
            steps.clear()
        steps.append(Step(line.seconds, min(most, sum(limits.values())), line.reason))
    return sorted(steps, key=lambda step: step.at)


def limit_line(steps: Sequence[Step], end: float, encoding: str) -> str:
    """The limit from the first step to `end` as a row of up to 32 marks, each the limit in the middle of its part of
    the time; the lowest mark is the lowest limit. "" where it never changed."""
    if len({step.limit for step in steps}) < 2:
        return ""
    begin = steps[0].at
    length = max(end, steps[-1].at) - begin
    times = [step.at for step in steps]
    middles = (begin + length * (place + 0.5) / _WIDTH for place in range(_WIDTH))
    limits = [steps[max(0, bisect_right(times, middle) - 1)].limit for middle in middles]
    low, high = min(step.limit for step in steps), max(step.limit for step in steps)
    marks = _marks(encoding)
    return "".join(marks[(limit - low) * (len(marks) - 1) // (high - low)] for limit in limits)


def _marks(encoding: str) -> str:
    try:
        _BLOCKS.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return _PLAIN
    return _BLOCKS
