"""Which rollouts a file holds: reads a row's key and nothing else of it, and keeps keys at one bit each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated

import msgspec

__all__ = ["TASKS_PER_PAGE", "KeySet", "RowKey", "key_decoder"]

TASKS_PER_PAGE = 256

_Index = Annotated[int, msgspec.Meta(ge=0, lt=2**40)]


class RowKey(msgspec.Struct, gc=False, frozen=True):
    """The two fields that name a rollout inside its run; the rest of the row is checked to be JSON and skipped."""

    task_index: _Index = msgspec.field(name="_ng_task_index")
    rollout_index: _Index = msgspec.field(name="_ng_rollout_index")


key_decoder = msgspec.json.Decoder(RowKey)
"""Raises msgspec.DecodeError (a ValueError) for what is no JSON, or no row of ours. Safe in any thread."""


class KeySet:
    """A set of (task_index, rollout_index), one bit each, in pages made where there are keys.

    A million keys take about 300 KB. Task indices need not start at 0 nor lie close together (shards begin anywhere).
    `num_repeats` is the most rollouts that any task has.
    """

    __slots__ = ("_count", "_page_bytes", "_pages", "num_repeats")

    def __init__(self, num_repeats: int) -> None:
        self.num_repeats = num_repeats
        self._page_bytes = (TASKS_PER_PAGE * num_repeats + 7) // 8
        self._pages: dict[int, bytearray] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: tuple[int, int]) -> bool:
        task_index, rollout_index = key
        page = self._pages.get(task_index // TASKS_PER_PAGE)
        if page is None or not 0 <= rollout_index < self.num_repeats:
            return False
        bit = task_index % TASKS_PER_PAGE * self.num_repeats + rollout_index
        return bool(page[bit >> 3] & (1 << (bit & 7)))

    def add(self, task_index: int, rollout_index: int) -> bool:
        """False when the key was there already. Raises ValueError for a rollout index that no task has."""
        if not 0 <= rollout_index < self.num_repeats:
            raise ValueError(f"_ng_rollout_index is {rollout_index}, but there are {self.num_repeats} repeats")
        page = self._page(task_index // TASKS_PER_PAGE)
        bit = task_index % TASKS_PER_PAGE * self.num_repeats + rollout_index
        mask = 1 << (bit & 7)
        if page[bit >> 3] & mask:
            return False
        page[bit >> 3] |= mask
        self._count += 1
        return True

    def update(self, rows: Iterable[RowKey]) -> None:
        """`add` for each row; its body once more, for the sake of a scan's speed: a call per row costs as much as half
        of the row's decoding. Rows come nearly in order, so the page at hand is mostly the right one."""
        at_hand, page, count = -1, bytearray(), 0
        repeats, size = self.num_repeats, TASKS_PER_PAGE
        for row in rows:
            task, rollout = row.task_index, row.rollout_index
            if rollout >= repeats:
                self._count += count
                self.add(task, rollout)  # which raises
            number = task // size
            if number != at_hand:
                page, at_hand = self._page(number), number
            bit = task % size * repeats + rollout
            mask = 1 << (bit & 7)
            if not page[bit >> 3] & mask:
                page[bit >> 3] |= mask
                count += 1
        self._count += count

    def pages(self) -> Iterator[int]:
        """Numbers of the pages that hold keys, ascending; page n is tasks [n * TASKS_PER_PAGE, (n + 1) * ...)."""
        return iter(sorted(self._pages))

    def _page(self, number: int) -> bytearray:
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = bytearray(self._page_bytes)
        return page
