"""Whether a collection still goes on: what its run file says, and whether anybody holds its lock."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

__all__ = ["OVER", "is_held"]

OVER = ("interrupted", "stopped")
"""States of a run that ended before its end."""


def is_held(lock: Path) -> bool:
    """Whether a process holds the run's lock. It is asked for, shared and for a moment, only where the file is there;
    where that cannot be told, yes."""
    try:
        descriptor = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
