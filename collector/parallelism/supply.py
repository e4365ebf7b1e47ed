"""The tasks of a trial: the input's prompts in an order drawn once, each with its repeats, round and round without end.

Each trial asks the same prompts with the same seeds in the same order, so that levels differ in nothing but how many
requests are in flight. A server that remembers prompts would then serve the first trial slower than all later ones.
Two ways against that:

salt       each request has a `cache_salt` of its trial: servers that know it (vLLM, SGLang, the embedded one) use what
           they remember only for requests with the same salt. A prompt's repeats still share its memory, as in a run.
disjoint   each trial goes on in the order where the one before it ended: a prompt is asked again only when all others
           have been. Works with every server; levels then have different prompts and seeds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count

from collector.prompts import repeat_rows, rows_of
from collector.prompts.repeats import repeats_for
from collector.protocols import Protocol
from collector.records.rows import PromptRow, Task
from collector.settings import CollectSettings

__all__ = ["MOST_PROMPTS", "Supply", "drawn_rows"]

MOST_PROMPTS = 10_000
"""A sweep holds its prompts in memory; of a larger input so many are drawn."""


def drawn_rows(settings: CollectSettings) -> list[PromptRow]:
    """At most `MOST_PROMPTS` of the input's rows, drawn and ordered by the seed: an input may be sorted by difficulty,
    and a slow level sees only the first of them. Raises InputError as `rows_of` does."""
    rng = random.Random(settings.seed)
    kept: list[PromptRow] = []
    for place, row in enumerate(rows_of(settings)):
        if place < MOST_PROMPTS:
            kept.append(row)
        elif (slot := rng.randrange(place + 1)) < MOST_PROMPTS:
            kept[slot] = row
    rng.shuffle(kept)
    return kept


class Supply:
    """The tasks of one trial, from the prompt at `first` of the order on. A task's `task_index` is its prompt's place
    in that order, counted on beyond its end, so that a prompt that comes again has other seeds."""

    def __init__(self, rows: Sequence[PromptRow], settings: CollectSettings, protocol: Protocol, first: int) -> None:
        self.begun = 0
        """Prompts of which a task was given out."""
        self._rows = rows
        self._settings = settings
        self._sends_seed = protocol.sends_seed if settings.send_seed is None else settings.send_seed
        self._first = first

    def tasks(self) -> Iterator[Task]:
        """Never ends."""
        return repeat_rows(self._places(), self._settings, sends_seed=self._sends_seed)

    def repeats_at(self, place: int) -> int:
        """How many rollouts the prompt at that place has when it is whole."""
        return repeats_for(self._rows[place % len(self._rows)], self._settings)

    def _places(self) -> Iterator[PromptRow]:
        for place in count(self._first):
            self.begun += 1
            yield replace(self._rows[place % len(self._rows)], task_index=place)
