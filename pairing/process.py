"""`pairmill` as a process: what is before and behind `pairing.cli.main`, where a Ctrl-C must be no traceback either."""

from __future__ import annotations

import signal
import sys

__all__ = ["process"]


def process() -> int:
    """The exit code of the command that was typed. Interrupted while Python reads the modules, or once the command is
    through with its work and its output is out, it ends as interrupted: 130 to a shell."""
    code = 130
    try:
        from pairing.cli import main  # reading it is most of the start

        code = main()
    except KeyboardInterrupt:
        sys.stderr.write("pairmill: interrupted\n")
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # at once, whatever Python would still wait for
    return code
