"""What a run needs of the process around it: open files enough, and a terminal that may go away."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

from collector.live import LiveObserver
from collector.observer import Observer
from collector.settings import CollectSettings

_ASK = """
import resource, sys
from collector.errors import UsageError
from collector.openfiles import allow_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (128, int(sys.argv[1])))
try:
    allow_open_files(500)
except UsageError as error:
    print(error)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def limited(hard: int) -> str:
    """What happens under a hard limit, in a process of its own: limits only go down."""
    return subprocess.run([sys.executable, "-c", _ASK, str(hard)], capture_output=True, text=True, check=True).stdout


def test_the_limit_of_open_files_is_raised_to_what_the_run_needs() -> None:
    """From a soft 128 to twice the connections and some; as far as the hard limit lets us."""
    assert limited(4000) == "1064\n"
    assert limited(600) == "600\n"


def test_too_low_a_hard_limit_is_said_before_the_run() -> None:
    """Not by `Too many open files` in its middle: the line names the flag, the limit and what would fit."""
    assert "--num-samples-in-parallel 500: only 300 open files" in limited(300)
    assert "give at most 236" in limited(300)


class _Gone(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError

    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def test_an_observer_whose_streams_are_gone_stays_quiet(tmp_path: Path) -> None:
    """`pairmill collect | head -1` must not end a night's run."""
    settings = CollectSettings(input=tmp_path / "i", output=tmp_path / "o", base_url="http://h")
    observer: Observer = LiveObserver(out=_Gone(), err=_Gone())
    observer.found(settings, 1, 4)
    observer.note("before")
    observer.started(0, 4)
    observer.note("while")
    observer.ended()
