"""Samples where a process spends its CPU: a signal every few milliseconds of CPU time, of all threads together.

CPU time, not elapsed: other work on the machine does not show. What a worker thread uses counts for where the main
thread is meanwhile, and C code for the Python line that called it.
"""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TypeVar

__all__ = ["sampled"]

_EVERY = 0.002
"""Seconds of CPU."""

T = TypeVar("T")


class _Samples:
    def __init__(self) -> None:
        self.total = 0
        self.itself: Counter[str] = Counter()
        self.with_callees: Counter[str] = Counter()

    def take(self, _signal: int, frame: FrameType | None) -> None:
        if frame is None:
            return
        self.total += 1
        self.itself[f"{_name(frame)}:{frame.f_lineno}"] += 1
        names = set()
        caller: FrameType | None = frame
        while caller is not None:
            names.add(_name(caller))
            caller = caller.f_back
        self.with_callees.update(names)


def sampled(work: Callable[[], T], report: Path) -> T:
    """Does `work`, and leaves at `report`, as JSON, the microseconds of CPU by line (`itself`) and by function with
    what it called (`with_callees`)."""
    samples = _Samples()
    signal.signal(signal.SIGPROF, samples.take)
    signal.setitimer(signal.ITIMER_PROF, _EVERY, _EVERY)
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        used = os.times()
        # By the CPU that was really used: signals that come while one is handled are lost.
        each = (used.user + used.system) * 1e6 / max(1, samples.total)
        columns = {"itself": samples.itself, "with_callees": samples.with_callees}
        micros = {name: {at: count * each for at, count in column.items()} for name, column in columns.items()}
        report.write_text(json.dumps(micros), encoding="utf-8")


def _name(frame: FrameType) -> str:
    code = frame.f_code
    return f"{'/'.join(Path(code.co_filename).parts[-2:])} {code.co_qualname}"
