"""`pairmill` as a process: what is before and behind `pairing.cli.main`, where a Ctrl-C must be no traceback either."""

from __future__ import annotations

import os
import signal

__all__ = ["process"]

_INTERRUPTED = 130


def process() -> int:
    """The exit code of the command that was typed. Interrupted while Python reads the modules, or once the command is
    through with its work and its output is out, it ends as interrupted: 130 to a shell. Started with SIGINT ignored, as
    a shell starts what it puts in the background, it goes on ignoring it."""
    listens = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if listens:
        signal.signal(signal.SIGINT, _end)
    from pairing.cli import main  # reading it is most of the start

    code = _INTERRUPTED
    try:
        if listens:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = main()
    except KeyboardInterrupt:
        _say()
    finally:
        if listens:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # at once, whatever Python would still wait for
    return code


def _end(*_: object) -> None:
    """Ends here and now. An exception in the middle of an import is one that not every extension module outlives, and
    that the import system may swallow."""
    _say()
    os._exit(_INTERRUPTED)


def _say() -> None:
    os.write(2, b"pairmill: interrupted\n")
