"""What is known of a reply whose verdict failed for now: what was paid for is not asked for again."""

from __future__ import annotations

import weakref
from typing import Generic, TypeVar

from collector.records.rows import Reply

__all__ = ["Answered"]

T = TypeVar("T")


class Answered(Generic[T]):
    """Holds what was found out about a reply between the tries of one verdict, and no longer than the reply lives."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[weakref.ref[Reply], T]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, reply: Reply) -> T | None:
        """What was kept of this very reply, which is forgotten here; None when nothing was."""
        kept = self._kept.pop(id(reply), None)
        return None if kept is None else kept[1]

    def keep(self, reply: Reply, found: T) -> None:
        """Remembers `found` until it is taken, or until the reply is gone: nobody asks about it any more."""
        key = id(reply)
        self._kept[key] = weakref.ref(reply, lambda _: self._kept.pop(key, None)), found
