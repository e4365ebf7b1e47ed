"""Which rollout a row is: what its indices say or, in a file without them, its place among the rows of its prompt.

NeMo Gym's older files carry no indices. Their prompts are numbered as they first appear, and so are the rollouts of
each; that takes about 100 bytes of memory a prompt, where indices take none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec

from collector.errors import InputError

__all__ = ["MOST_REPEATS", "Identities", "Indices", "read_indices"]

MOST_REPEATS = 10_000
"""As in `collector.settings`: the journal holds a slot for each rollout of a prompt."""

_Index = Annotated[int, msgspec.Meta(ge=0, lt=2**40)]


class Indices(msgspec.Struct, gc=False, rename={"task": "_ng_task_index", "rollout": "_ng_rollout_index"}):
    """The two indices of a row, None where it has none; the rest of the row is checked to be JSON and skipped."""

    task: _Index | None = None
    rollout: _Index | None = None

    @property
    def complete(self) -> bool:
        return self.task is not None and self.rollout is not None


read_indices = msgspec.json.Decoder(Indices).decode
"""Raises msgspec.ValidationError for indices that are none, msgspec.DecodeError for what is no JSON object."""


class Identities:
    """Gives each row its (task_index, rollout_index), in file order: make a new one for each reading."""

    def __init__(self) -> None:
        self.by_appearance: bool | None = None
        """Whether rows are numbered here; None before the first row."""
        self._tasks: dict[bytes, int] = {}
        self._counts: list[int] = []

    def of(self, indices: Indices, where: str, prompt_id: Callable[[], str]) -> tuple[int, int]:
        """The row's key. `prompt_id` is asked for only where rows have no indices.

        Raises InputError, `where` in front, when some rows have indices and others have none: then no number is safe.
        """
        if self.by_appearance is None:
            self.by_appearance = not indices.complete
        if indices.task is not None and indices.rollout is not None and not self.by_appearance:
            key = indices.task, indices.rollout
        elif self.by_appearance and indices.task is None and indices.rollout is None:
            key = self._numbered(prompt_id())
        else:
            problem = "has no _ng_task_index and _ng_rollout_index, and" if not indices.complete else "has indices, and"
            raise InputError(f"{where}: this row {problem} rows before it are otherwise: score them from two files")
        if key[1] >= MOST_REPEATS:
            raise InputError(f"{where}: rollout {key[1]} of one prompt; {MOST_REPEATS} are the most")
        return key

    def _numbered(self, prompt_id: str) -> tuple[int, int]:
        task = self._tasks.setdefault(bytes.fromhex(prompt_id), len(self._counts))
        if task == len(self._counts):
            self._counts.append(0)
        self._counts[task] += 1
        return task, self._counts[task] - 1
