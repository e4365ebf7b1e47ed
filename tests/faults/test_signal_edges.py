"""Ctrl-C where no run is yet, or no longer: while Python reads the modules, and once the work is done."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

_COMMAND = """
import atexit, os, signal, sys

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

class Watching:
    def find_spec(self, name, *_):
        if name == moment:
            interrupt()

moment = sys.argv[1]
if moment.endswith("unheard"):  # as a shell starts what it puts in the background
    signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.meta_path.insert(0, Watching())
if moment.startswith("the end"):
    atexit.register(interrupt)
sys.argv = ["pairmill", "formats"]
from pairing.process import process
sys.exit(process())
"""


@pytest.mark.parametrize(
    ("moment", "code", "said"),
    [
        ("pairing.cli", 130, "pairmill: interrupted\n"),
        ("collector.cli", 130, "pairmill: interrupted\n"),
        ("the end", -signal.SIGINT, ""),
        ("the end, unheard", 0, ""),
    ],
)
def test_an_interrupt_outside_the_work_is_no_traceback(moment: str, code: int, said: str) -> None:
    words = [sys.executable, "-c", _COMMAND, moment]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (code, said)
    assert ("trl" in done.stdout) == moment.startswith("the end")
