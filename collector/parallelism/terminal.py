"""A sweep in the terminal: a line for each trial on stderr, and Ctrl-C as a user expects it."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from collector.parallelism.records import AUTO, TrialRecord
from collector.parallelism.settings import BenchSettings
from collector.parallelism.summary import Summary
from collector.parallelism.sweep import CountPairs, Swept, sweep
from collector.terminal import plain

__all__ = ["LineWatcher", "estimate", "sweep_watched"]

_AROUND = 1.4
"""A trial's time over that of its window: the warm-up, the tail, connections, counting."""
_CACHES = {
    "salt": "same prompts and seeds at each level, each trial with a cache_salt of its own",
    "disjoint": "each trial has prompts of its own, so that no cache helps (--cache-bust)",
    "none": "same prompts and seeds at each level; the server's cache may help later trials (--cache-bust)",
}


class LineWatcher:
    """Writes a line for each trial; notes alone when `quiet`."""

    def __init__(self, settings: BenchSettings, *, quiet: bool = False) -> None:
        self._settings = settings
        self._quiet = quiet
        self._told_cache = False

    def note(self, text: str) -> None:
        sys.stderr.write(f"note: {plain(text)}\n")

    def planned(self, levels: Sequence[int], done: int, left: int, cache: str) -> None:
        if not self._told_cache:
            self._told_cache = True
            self._say(_CACHES.get(cache, cache))
        there = f" ({_trials(done)} there already)" if done else ""
        autos = left // len(levels) if AUTO in levels else 0
        named = ", ".join("auto" if level == AUTO else str(level) for level in levels)
        self._say(f"levels {named}: {estimate(self._settings, left, autos)}{there}")

    def began(self, part: int, level: int) -> None: ...

    def ended(self, trial: TrialRecord) -> None:
        rate = trial.rollouts / trial.measured_s
        if trial.level == AUTO:
            level, held = " auto", f", {trial.in_flight:.1f} on average"
        else:
            level = f"{trial.level:>5}"
            held = "" if trial.in_flight_max == trial.level else f", {trial.in_flight:.1f} really"
        passes = f"{trial.part}/{self._settings.passes}"
        self._say(f"pass {passes}  {level} in flight{held}  {rate:8.1f} rollouts/s")

    def _say(self, text: str) -> None:
        if not self._quiet:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()


def estimate(settings: BenchSettings, trials: int, autos: int) -> str:
    """How many trials, `autos` of them with auto, and about how long they take, in words."""
    seconds = (trials - autos) * _AROUND * settings.level_seconds + autos * sum(settings.window(AUTO))
    time = f"{seconds / 60:.0f} minutes" if seconds > 150 else f"{seconds:.0f} s"
    return f"{_trials(trials)}, about {time}"


def _trials(number: int) -> str:
    return f"{number} trial" + ("" if number == 1 else "s")


async def sweep_watched(settings: BenchSettings, count_pairs: CountPairs | None, *, quiet: bool) -> Swept | None:
    """One sweep in the terminal; without a summary when a first Ctrl-C ended it, None when a second cut it short."""
    from collector.interrupt import interruptible
    from collector.openfiles import allow_open_files
    from collector.parallelism.report import report_files
    from collector.parallelism.trial import settings_at

    allow_open_files(
        max(settings.coarse[-1], settings_at(settings.collect, AUTO).num_samples_in_parallel * settings.auto)
    )
    watcher = LineWatcher(settings, quiet=quiet)

    def reports(summary: Summary) -> dict[str, bytes]:
        return report_files(summary)

    return await interruptible(
        lambda stop: sweep(settings, watcher=watcher, stop=stop, count_pairs=count_pairs, reports=reports),
        watcher.note,
    )
