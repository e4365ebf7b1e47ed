"""Which target a file was written for, told from the keys of its first rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["guess_target"]

_SIGNS: Sequence[tuple[frozenset[str], str]] = [
    (frozenset(keys.split()), target)
    for keys, target in (
        ("preferred_output non_preferred_output", "openai"),
        ("context completions", "nemo-rl"),
        ("conversations chosen rejected", "llama-factory"),
        ("chosen_response rejected_response", "nemo-aligner"),
        ("instruction chosen rejected", "llama-factory-alpaca"),
        ("question chosen rejected", "axolotl-intel"),
        ("messages rejected_response", "ms-swift"),
        ("messages rejected_messages", "ms-swift"),
        ("messages chosen rejected", "axolotl"),
        ("prompt completion label", "trl-kto"),
        ("prompt chosen rejected", "trl"),
        ("chosen rejected", "trl-implicit"),
    )
]
"""The most telling first."""


def guess_target(rows: Sequence[Mapping[str, Any]]) -> tuple[str, str] | None:
    """(target, the keys that told it), by the first rows that have such keys; None when none has."""
    for keys, target in _SIGNS:
        having = [row for row in rows if keys <= row.keys()]
        if having:
            words = ", ".join(sorted(keys))
            if target == "trl" and all(isinstance(row[key], str) for row in having for key in keys):
                return "trl-standard", f"{words}, all text"
            return target, words
    return None
