"""An order of rows in which no two of one prompt are neighbours, found with few of them in memory.

What waits is bounded: rows leave as soon as more than WAITING are held. The choice is by counts and order of arrival
alone, so that the same rows always come out in the same order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["WAITING", "Interleaver"]

Item = TypeVar("Item")
WAITING = 64
"""Rows. A prompt gives two rows a pair, so this is some 32 prompts."""


class Interleaver(Generic[Item]):
    """Takes (prompt, row), gives rows back. Of the prompts that wait, the one with most rows goes first, save the one
    that has just gone. Only when no other prompt is left do two rows of one stand together: at the very end, or where
    a single prompt has more rows than may wait; `neighbours` counts them."""

    def __init__(self, waiting: int = WAITING) -> None:
        self._limit = waiting
        self._queues: dict[str, deque[Item]] = {}
        self._held = 0
        self._last: str | None = None
        self._before: str | None = None
        self.neighbours = 0

    def add(self, prompt: str, row: Item) -> Iterator[Item]:
        """The rows that may go now; all of them must be taken."""
        self._queues.setdefault(prompt, deque()).append(row)
        self._held += 1
        while self._held > self._limit:
            yield self._next()

    def rest(self) -> Iterator[Item]:
        """All rows that still wait."""
        while self._held:
            yield self._next()

    def undo(self) -> None:
        """The row that has just gone stands elsewhere: what comes next follows the one before it."""
        self._last = self._before

    def _next(self) -> Item:
        others = [prompt for prompt in self._queues if prompt != self._last]
        if others:
            prompt = max(others, key=lambda name: len(self._queues[name]))  # the first of the longest
        else:
            (prompt,) = self._queues
            self.neighbours += 1
        row = self._queues[prompt].popleft()
        if not self._queues[prompt]:
            del self._queues[prompt]
        self._held -= 1
        self._before, self._last = self._last, prompt
        return row
