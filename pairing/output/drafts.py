"""Half-written files beside an output: hidden, locked by who writes them, and cleared away once their writer is dead.

The kernel drops a lock (flock) with its holder. So a draft that can be locked belongs to nobody: a killed process left
it. Where a file system knows no such locks, drafts are left alone.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

__all__ = ["new_draft", "remove_if_dead", "remove_stale"]

_BUFFER = 1 << 18


def new_draft(place: Path) -> tuple[Path, BinaryIO]:
    """An empty file beside `place`, open for writing and reading, and locked until it is closed. Raises OSError."""
    while True:
        draft = place.with_name(f".{place.name}.{secrets.token_hex(4)}.tmp")
        file = draft.open("x+b", buffering=_BUFFER)
        if _own(file.fileno()):
            return draft, file
        file.close()  # cleared away before it was locked: another one


def remove_stale(place: Path) -> None:
    """Removes the drafts of `place` whose writer is dead. What cannot be looked at or removed stays."""
    ours = re.compile(rf"\.{re.escape(place.name)}\.[0-9a-f]{{8}}\.tmp")
    with suppress(OSError):
        for name in os.listdir(place.parent):  # noqa: PTH208 - names alone, of a folder that may be large
            if ours.fullmatch(name):
                remove_if_dead(place.with_name(name))


def remove_if_dead(draft: Path) -> None:
    """Removes a file that its writer locks, when nobody holds the lock."""
    with suppress(OSError):
        descriptor = os.open(draft, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            draft.unlink()
        finally:
            os.close(descriptor)


def _own(descriptor: int) -> bool:
    """Locks a new draft; False when it was taken for a dead one's meanwhile."""
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return os.fstat(descriptor).st_nlink > 0
