"""How many columns of a terminal a text takes."""

from __future__ import annotations

import unicodedata

__all__ = ["columns"]

_NONE = frozenset({"Mn", "Me", "Cf"})
"""Categories of marks that stand on the character before: accents, the vowels of Thai and Hindi, variation signs."""


def columns(text: str) -> int:
    """Columns of `text`, which `plain` has made printable. East Asian characters and emoji take two."""
    return sum(map(_of_one, text))


def _of_one(char: str) -> int:
    if char.isascii():
        return 1
    if unicodedata.category(char) in _NONE:
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
