"""A follower in a thread of its own, beside the run that it follows: `pairmill run`.

It is a guest there. Whatever goes wrong with it is kept for the end, where the sealed file is paired instead; it reads
twice a second, and steps back from the processor between a few groups.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from collector.errors import PairmillError
from collector.journal import RunFile, read_run_file
from pairing.follow.follower import Follower, Rule
from pairing.follow.live_pairs import live_paths
from pairing.output.drafts import remove_if_dead
from pairing.reports.funnel import PairReport
from pairing.settings import PairSettings

__all__ = ["Alongside"]

_POLL = 0.5
_BREATH = 0.0005


class Alongside:
    """A context manager around a run; `begin` starts it once the run's first rollout is on disk."""

    def __init__(self, source: Path, output: Path, settings: PairSettings, rule: Rule, poll: float = _POLL) -> None:
        self._source, self._output, self._settings, self._rule, self._poll = source, output, settings, rule, poll
        self._over = threading.Event()
        self._left = False
        """True when what is under way is not needed any more."""
        self._thread: threading.Thread | None = None
        self._follower: Follower | None = None
        self.failure: Exception | None = None
        """Why it gave up; None while all is well."""

    def __enter__(self) -> Alongside:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._left = True
        self._end()
        if self._follower is not None:
            self._follower.close()

    def begin(self, *, anew: bool = False) -> None:
        """Called by the run, so it must not raise. `anew`: the live pairs that stand there are of a run that was
        overwritten, and go first."""
        if anew:
            for path in live_paths(self._output, self._settings):
                remove_if_dead(path)
        self._thread = threading.Thread(target=self._follow, name="pairs", daemon=True)
        self._thread.start()

    def finish(self, *, overwrite: bool) -> PairReport | None:
        """Writes the output when the run was followed to its end; None when it was not, and nothing was written. Raises
        what `Follower.finish` raises."""
        self._end()
        follower = self._follower
        if follower is None or self.failure is not None:
            self._discard()
            return None
        run = self._attempt(lambda: read_run_file(follower.paths.run))
        if not isinstance(run, RunFile) or not self._attempt(lambda: self._step(follower, run)):
            self._discard()
            return None
        try:
            return follower.finish(run, overwrite=overwrite)
        except PairmillError:
            raise
        except Exception as error:
            self.failure = error
            return None

    def _follow(self) -> None:
        self._attempt(self._until_over)

    def _until_over(self) -> None:
        self._follower = Follower(self._source, self._output, self._settings, rule=self._rule, pause=self._breathe)
        while not self._over.wait(self._poll):
            run = read_run_file(self._follower.paths.run)
            if run is not None and run.state == "running":
                self._step(self._follower, run)

    def _breathe(self) -> None:
        """Lets the run go on; ends a long reading when the run was left."""
        if self._left:
            raise _Left
        time.sleep(_BREATH)

    def _step(self, follower: Follower, run: RunFile) -> bool:
        if run.state == "running" and follower.is_other(run):
            follower.restart()
        follower.step(run)
        return True

    def _attempt(self, work: Callable[[], object]) -> object:
        """What `work` gives; None when it failed."""
        try:
            return work()
        except Exception as error:  # the run must not suffer, whatever it is
            self.failure = error
            return None

    def _end(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def _discard(self) -> None:
        """The live files go, unless another process follows into them: the output is made of the sealed file."""
        if self._follower is not None:
            self._follower.discard()
            return
        for path in live_paths(self._output, self._settings):
            remove_if_dead(path)


class _Left(Exception):  # noqa: N818 - no error
    """Nobody waits for the pairs."""
