"""What the repeats of a row share, worked out once; and JSON that is alike but for one number, encoded once.

A row's repeats ask the same thing with another seed, and are written down with the same source fields: encoding these
anew for each rollout was most of the cost of a request and of a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import orjson

from collector.records.rows import JsonObject, Task

__all__ = ["Spliced", "once_per_row", "split_at"]

T = TypeVar("T")

_MOST = 16
"""Entries of a row: it has one for each of its writers and each set of parameters (a ladder of temperatures)."""


@dataclass(frozen=True, slots=True)
class Spliced:
    """An object's bytes before the value of one of its fields, and after it."""

    before: bytes
    after: bytes


def once_per_row(task: Task, name: str, make: Callable[[], T], settings: object = None) -> T:
    """What `make` gives, called once for all tasks of a row that share their `params` and the `settings` (the same
    objects, not equal ones: 1 and 1.0 are equal, and not the same JSON). `name` tells apart what is kept."""
    memo = task.row.memo
    key = name, id(task.params), id(settings)
    entry = memo.get(key)
    if entry is None:
        if len(memo) >= _MOST:
            memo.clear()
        # What the ids are of is held along, so that nothing else can come by the same ones.
        entry = memo[key] = make(), task.params, settings
    made: T = entry[0]
    return made


def split_at(body: JsonObject, name: str) -> Spliced:
    """`body` in two parts around the value of its field `name`. Put together with that value they are, byte for byte,
    what orjson writes for the whole. Raises TypeError for what orjson cannot write."""
    names = list(body)
    place = names.index(name)
    before = orjson.dumps({key: body[key] for key in names[:place]})[:-1]
    after = orjson.dumps({key: body[key] for key in names[place + 1 :]})[1:]
    return Spliced(
        before=before + (b"," if place else b"") + orjson.dumps(name) + b":",
        after=(b"," if place + 1 < len(names) else b"") + after,
    )
