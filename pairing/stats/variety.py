"""How much the answers to one prompt differ: unique answers, distinct n-grams, and how well they compress together."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from collector.records.spread import Spread

__all__ = ["NGRAMS", "Variety", "distinct_n"]

NGRAMS = (1, 2, 3)
_ALL_READ = 2000
_ONE_IN = 16
_LONGEST = 1 << 15
"""Characters of an answer that are looked at for n-grams and compression, and what zlib looks back at."""


@dataclass(slots=True)
class Variety:
    """Means over prompts with at least two answers. Unique answers are told for all of them, the rest, which takes
    about a millisecond a prompt, for the first 2,000 and then for one in 16."""

    unique: Spread = field(default_factory=Spread)
    """Different final texts of a prompt, as a share of its answers."""
    last_lines: Spread = field(default_factory=Spread)
    """Different last lines, where most verifiers look for the result, likewise."""
    distinct: dict[int, Spread] = field(default_factory=lambda: {n: Spread() for n in NGRAMS})
    """By n: different n-grams of a prompt's answers, as a share of all of them."""
    compression: Spread = field(default_factory=Spread)
    """Bytes of all answers of a prompt over those that zlib makes of them; 1 and less: nothing repeats."""
    answers: Spread = field(default_factory=Spread)
    """Answers of a prompt."""

    def add(self, texts: Sequence[str]) -> None:
        """The final texts of one prompt's answers."""
        if len(texts) < 2:
            return
        stripped = [text.strip() for text in texts]
        self.answers.add_one(len(texts))
        self.unique.add_one(len(set(stripped)) / len(texts))
        self.last_lines.add_one(len({text.rpartition("\n")[2].strip() for text in stripped}) / len(texts))
        prompts = self.unique.count
        if prompts <= _ALL_READ or prompts % _ONE_IN == 0:
            self._add_sampled([text[:_LONGEST] for text in stripped])

    def _add_sampled(self, texts: list[str]) -> None:
        words = [text.split() for text in texts]
        for n, spread in self.distinct.items():
            share = distinct_n(words, n)
            if share is not None:
                spread.add_one(share)
        whole = "\n".join(texts).encode("utf-8", "replace")
        if any(texts):
            self.compression.add_one(len(whole) / len(zlib.compress(whole)))


def distinct_n(answers: Sequence[Sequence[str]], n: int) -> float | None:
    """Different n-grams of words over all n-grams of these answers (arXiv 1510.03055); None where none is so long."""
    found = [gram for words in answers for gram in zip(*(words[start:] for start in range(n)), strict=False)]
    return len(set(found)) / len(found) if found else None
