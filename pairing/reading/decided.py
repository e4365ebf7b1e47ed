"""How many rollouts each prompt was asked for, where the run that made them stopped each prompt at a number of its own:
from the decisions file beside the rollouts."""

from __future__ import annotations

from array import array
from functools import cache
from pathlib import Path

import msgspec

from collector.errors import InputError
from collector.journal import iter_lines
from pairing.reading.compression import plain_name

__all__ = ["asked_for"]

_INCOMPLETE = "_incomplete"


class _Decision(msgspec.Struct, gc=False):
    task_index: int = msgspec.field(name="_ng_task_index")
    rollouts: int


_decode = msgspec.json.Decoder(_Decision).decode


def asked_for(path: Path, task_index: int | None) -> int | None:
    """The number of rollouts that the task of a rollouts file, or of the incomplete ones beside it, was asked for; None
    when nobody decided that. Read once per file. Raises InputError for a decisions file that cannot be read."""
    if task_index is None:
        return None
    sizes = _sizes(path)
    return sizes[task_index] if task_index < len(sizes) else None


@cache
def _sizes(path: Path) -> array[int]:
    plain = plain_name(path)
    beside = plain.with_name(f"{plain.stem.removesuffix(_INCOMPLETE)}_decisions{plain.suffix}")
    sizes = array("H")
    if not beside.is_file():
        return sizes
    for line in iter_lines(beside):
        try:
            decision = _decode(line.raw)
        except msgspec.DecodeError as error:
            raise InputError(f"{beside}:{line.number}: is no decision on a prompt: {error}") from None
        if decision.task_index != len(sizes):
            raise InputError(f"{beside}:{line.number}: the decision on prompt {len(sizes)} should stand here")
        sizes.append(decision.rollouts)
    return sizes
