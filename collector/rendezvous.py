"""Which of several endpoints a prompt goes to: the same one for all its repeats, whoever else comes or goes.

Rendezvous hashing (Thaler and Ravishankar, 1998): each endpoint has a weight for each prompt, the hash of both, and the
prompt prefers them from the heaviest down. When one is gone only its own prompts move, spread over all the others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import TypeVar

__all__ = ["preference"]

T = TypeVar("T")


def preference(prompt_id: str, items: Iterable[T], name_of: Callable[[T], str]) -> list[T]:
    """`items` in the order in which the prompt prefers them. Stable between runs and machines, as long as the names
    are; whatever order the items come in, save for those with equal names."""
    return sorted(items, key=lambda item: _weight(prompt_id, name_of(item)), reverse=True)


def _weight(prompt_id: str, name: str) -> bytes:
    return hashlib.blake2b(f"{prompt_id}/{name}".encode(), digest_size=8).digest()
