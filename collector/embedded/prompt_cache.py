"""Keeps the prompts last run through the model: a prompt's repeats come back to back and need it run only once."""

from collections import OrderedDict
from dataclasses import dataclass

from collector.embedded.arrays import Floats
from collector.embedded.sequence import PromptKey
from collector.embedded.transformer import Prefilled


@dataclass(frozen=True, slots=True)
class PromptState:
    """One prompt after the model. keys, values: [layer, kv head, position, head_dim]; logits: [vocabulary]."""

    keys: Floats
    values: Floats
    logits: Floats

    @classmethod
    def from_batch(cls, batch: Prefilled, row: int, length: int) -> "PromptState":
        """Copy one prompt out, so that the padded batch can be freed."""
        keys, values = batch.keys[:, row, :, :length].copy(), batch.values[:, row, :, :length].copy()
        return cls(keys, values, batch.logits[row].copy())


class PromptCache:
    """Least recently used prompts go first; `capacity` is in positions, which bounds memory for any prompt lengths."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._held = 0
        self._states: OrderedDict[PromptKey, PromptState] = OrderedDict()

    def get(self, key: PromptKey) -> PromptState | None:
        """The prompt's state, or None."""
        state = self._states.get(key)
        if state is not None:
            self._states.move_to_end(key)
        return state

    def put(self, key: PromptKey, state: PromptState) -> None:
        """Keep a prompt that is not held yet."""
        self._states[key] = state
        self._held += len(key.prompt)
        while self._held > self._capacity:
            dropped, _ = self._states.popitem(last=False)
            self._held -= len(dropped.prompt)
