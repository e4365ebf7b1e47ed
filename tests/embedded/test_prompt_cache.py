"""What the server remembers of prompts: the last ones, each under its prompt and the salt of its request."""

from __future__ import annotations

import numpy as np

from collector.embedded.prompt_cache import PromptCache, PromptState
from collector.embedded.sequence import PromptKey


def state(length: int) -> PromptState:
    some = np.zeros((1, 1, length, 1))
    return PromptState(some, some, np.zeros(1))


def test_a_prompt_is_kept_for_its_salt_alone() -> None:
    """A request with another `cache_salt`, or with none, finds nothing of the prompt."""
    cache, kept = PromptCache(100), state(3)
    cache.put(PromptKey((1, 2, 3), "a"), kept)
    assert cache.get(PromptKey((1, 2, 3), "a")) is kept
    assert cache.get(PromptKey((1, 2, 3), "b")) is None
    assert cache.get(PromptKey((1, 2, 3))) is None


def test_the_least_recently_used_goes_first() -> None:
    """Capacity is in positions, whatever the prompts' number."""
    cache = PromptCache(8)
    for first in (1, 2):
        cache.put(PromptKey((first, 0, 0)), state(3))
    cache.get(PromptKey((1, 0, 0)))
    cache.put(PromptKey((3, 0, 0)), state(3))
    assert cache.get(PromptKey((2, 0, 0))) is None
    assert cache.get(PromptKey((1, 0, 0))) is not None
