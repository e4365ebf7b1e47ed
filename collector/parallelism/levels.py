"""Which numbers of requests in flight are measured: spaced by factors of two, and closer around the knee."""

from __future__ import annotations

import math
from collections.abc import Sequence

from collector.errors import UsageError

__all__ = ["MOST", "log_spaced", "parse_levels", "refined"]

MOST = 60_000
"""One host has 65,536 ports to connect from."""
_MOST_LEVELS = 32
_LEAST_FACTOR = 1.25
"""Levels closer than this differ by less than a sweep can tell apart."""


def log_spaced(most: int) -> tuple[int, ...]:
    """1, 2, 4, ... and `most` itself."""
    doubled = [2**power for power in range(most.bit_length()) if 2**power < most]
    return (*doubled, most)


def parse_levels(text: str) -> tuple[int, ...]:
    """`1,2,4,8` -> its numbers, ascending, each once. Raises UsageError for anything else."""
    try:
        levels = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        raise UsageError(f"--levels {text}: give whole numbers with commas between: 1,2,4,8,16") from None
    if levels[0] < 1 or levels[-1] > MOST:
        wrong = levels[0] if levels[0] < 1 else levels[-1]
        raise UsageError(f"--levels {wrong}: give numbers from 1 to {MOST}")
    if len(levels) > _MOST_LEVELS:
        raise UsageError(f"--levels: {len(levels)} of them: give {_MOST_LEVELS} or fewer")
    return levels


def refined(levels: Sequence[int], knee: int) -> tuple[int, ...]:
    """Further levels half way (by factor) between `knee` and its neighbours among the ascending `levels`; none where
    these are close already."""
    place = levels.index(knee)
    neighbours = [*levels[max(0, place - 1) : place], *levels[place + 1 : place + 2]]
    further = (round(math.sqrt(knee * other)) for other in neighbours if _apart(knee, other))
    return tuple(sorted(set(further) - set(levels)))


def _apart(one: int, other: int) -> bool:
    return max(one, other) / min(one, other) >= _LEAST_FACTOR**2
