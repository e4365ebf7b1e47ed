"""`pairmill pair --follow`: polls a run until it is over, then writes the output.

The run may not have begun yet, be under way, or be sealed already. It is over when its run file says so. One that was
killed says nothing: it is over when nobody holds its lock for a while.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from collector.errors import InputError, OutputError, PairmillError, UsageError
from collector.journal import RunFile, read_run_file
from pairing.build import pair_writer
from pairing.follow.alive import OVER, is_held
from pairing.follow.follower import Follower, Rule
from pairing.reading.compression import is_compressed
from pairing.reports.funnel import PairReport
from pairing.settings import PairSettings

__all__ = ["Clock", "SystemClock", "follow"]

_POLL = 0.5
_TOLD_EVERY = 10.0
_PATIENCE = 10.0
"""Seconds: how long a run that seems to be over, when we come, may take to go on; and one whose lock nobody holds."""


class Clock(Protocol):
    """What the following waits by, in seconds."""

    def now(self) -> float: ...
    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The system's own."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def follow(
    source: Path,
    output: Path,
    settings: PairSettings,
    *,
    rule: Rule,
    say: Callable[[str], None],
    overwrite: bool = False,
    clock: Clock | None = None,
) -> PairReport:
    """Pairs the run that writes `source` while it goes on; returns when it is sealed and the output stands. `say` takes
    the lines that tell how far it is.

    Raises UsageError for a compressed source, InputError when nobody tells of the run's end (no run file), OutputError
    when the output or the live file cannot be written, and PairmillError when the run ended before it was sealed: what
    the live file holds stays, and the same call goes on once the run does.
    """
    if is_compressed(source):
        raise UsageError(f"--follow: {source}: a compressed file does not grow: give the file that the run writes")
    if source.exists() and not source.is_file():
        raise InputError(f"{source}: is no regular file: give the rollouts file of a run (--input)")
    with pair_writer(output, settings.policy().target, settings, overwrite=overwrite, inputs=[source]):
        pass  # what cannot be written is told before the night, and not after it
    follower = Follower(source, output, settings, rule=rule)
    if output.resolve() in [path.resolve() for path in (*follower.live, *follower.paths.all)]:
        raise OutputError(f"{output}: a file of that name is kept by the run or beside the output: give another")
    try:
        return _Watch(follower, say, clock or SystemClock()).until_sealed(overwrite)
    finally:
        follower.close()


class _Watch:
    """One following, from its start to the run's end."""

    def __init__(self, follower: Follower, say: Callable[[str], None], clock: Clock) -> None:
        self._follower, self._say, self._clock = follower, say, clock
        self._paths = follower.paths
        self._lives = False
        """Whether the run was seen to go on."""
        self._still_since = clock.now()
        self._told = ("", clock.now())
        self._rows = -1

    def until_sealed(self, overwrite: bool) -> PairReport:
        while True:
            run = read_run_file(self._paths.run)
            if run is None:
                self._wait_for_run()
            elif self._is_sealed(run):
                if self._follower.begun:
                    self._step(run)
                return self._follower.finish(run, overwrite=overwrite)
            else:
                self._look(run)
            self._clock.sleep(_POLL)

    def _is_sealed(self, run: RunFile) -> bool:
        return run.state == "finished" and self._paths.rollouts.exists()

    def _wait_for_run(self) -> None:
        """No run file: the run has not begun, an --overwrite is just beginning anew, or it is no run of ours."""
        if not self._has_rows():
            self._still_since = self._clock.now()
        elif self._is_overdue():
            raise InputError(
                f"{self._paths.rollouts}: no {self._paths.run.name} beside it, so nobody tells when it is whole:"
                " pair it without --follow"
            )
        self._tell(f"waiting for {self._paths.run}")

    def _look(self, run: RunFile) -> None:
        """The run goes on, as far as its run file knows."""
        if self._follower.is_other(run) and run.state in ("running", *OVER):
            self._say(f"{self._paths.rollouts}: is another file now: it is read from its beginning")
            self._follower.restart()
        self._step(run)
        if run.state not in OVER and (self._has_grown() or is_held(self._paths.lock)):
            self._lives = True
            self._still_since = self._clock.now()
        elif (self._lives and run.state in OVER) or self._is_overdue():
            raise PairmillError(self._ended(run))
        self._tell(self._progress())

    def _step(self, run: RunFile) -> None:
        if not self._paths.rollouts.exists():
            return
        note = self._follower.step(run)
        if note:
            self._say(note)

    def _has_rows(self) -> bool:
        return self._paths.rollouts.exists() and self._paths.rollouts.stat().st_size > 0

    def _has_grown(self) -> bool:
        before, self._rows = self._rows, self._follower.rows
        return self._rows > max(before, 0)

    def _is_overdue(self) -> bool:
        return self._clock.now() - self._still_since >= _PATIENCE

    def _ended(self, run: RunFile) -> str:
        how = f"was {run.state}" if run.state in OVER else "was killed, or has died"
        follower = self._follower
        return (
            f"{self._paths.rollouts}: the run {how} before its end; {follower.pairs} pairs of {follower.prompts} whole"
            f" prompts stand in {_names(follower)}: go on with its --resume, and then with this command again"
        )

    def _progress(self) -> str:
        follower = self._follower
        return (
            f"{follower.rows:,} rollouts, {follower.prompts:,} prompts whole, {follower.pairs:,} pairs in"
            f" {_names(follower)}"
        )

    def _tell(self, text: str) -> None:
        """Says it when it is new, not too often."""
        before, at = self._told
        now = self._clock.now()
        if text != before and (not before or now - at >= _TOLD_EVERY):
            self._say(text)
            self._told = (text, now)


def _names(follower: Follower) -> str:
    return " and ".join(map(str, follower.live))
