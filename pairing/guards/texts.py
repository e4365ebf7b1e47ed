"""Pair guards that read both answers: how alike, how long, and where they first differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from collector.errors import UsageError
from pairing.messages import answer_text, prompt_text, same_answer
from pairing.strategies.base import Choice, Pool

__all__ = ["BYTES_PER_TOKEN", "DifferentText", "LengthRatio", "NotSimilar", "TokenBudget"]

BYTES_PER_TOKEN = 4
"""English prose with today's vocabularies; code and other scripts take fewer bytes a token."""


@dataclass(frozen=True, slots=True)
class DifferentText:
    """The sides do not say the same. Reason `identical_text`."""

    def fault(self, choice: Choice, pool: Pool, kept: Sequence[Choice]) -> str | None:
        return "identical_text" if same_answer(choice.chosen, choice.rejected) else None


@dataclass(frozen=True, slots=True)
class LengthRatio:
    """Chosen length over rejected length, in characters of the final texts, from `least` to `most`. Reason
    `length_ratio`."""

    least: float | None = None
    most: float | None = None

    def __post_init__(self) -> None:
        for flag, value in (("--min-length-ratio", self.least), ("--max-length-ratio", self.most)):
            if value is not None and not (math.isfinite(value) and value > 0):
                raise UsageError(f"{flag} {value}: give a number over 0")
        if self.least is not None and self.most is not None and self.least > self.most:
            raise UsageError(f"--min-length-ratio {self.least:g} is over --max-length-ratio {self.most:g}")

    def fault(self, choice: Choice, pool: Pool, kept: Sequence[Choice]) -> str | None:
        chosen, rejected = len(answer_text(choice.chosen)), len(answer_text(choice.rejected))
        # As products: a side may have no text at all.
        short = self.least is not None and chosen < self.least * rejected
        long = self.most is not None and chosen > self.most * rejected
        return "length_ratio" if short or long else None


@dataclass(frozen=True, slots=True)
class NotSimilar:
    """Final texts whose similarity is `most` or less: 1 is the same, 0 has no character in common (the share of
    characters that are neither inserted nor deleted). Reason `near_identical`."""

    most: float

    def __post_init__(self) -> None:
        if not 0 <= self.most <= 1:
            raise UsageError(f"--max-similarity {self.most}: give a number from 0 to 1, such as 0.95")

    def fault(self, choice: Choice, pool: Pool, kept: Sequence[Choice]) -> str | None:
        from rapidfuzz.distance import Indel  # loaded when the guard stands

        # Under the cutoff it gives 0, and need not finish counting.
        alike = Indel.normalized_similarity(
            answer_text(choice.chosen), answer_text(choice.rejected), score_cutoff=self.most
        )
        return "near_identical" if alike > self.most else None


@dataclass(frozen=True, slots=True)
class TokenBudget:
    """Sides that differ within the first `tokens` of prompt and answer: a trainer that cuts there would see two equal
    sides. Reason `beyond_budget`.

    Counted with the tokenizer of `tokenizer` (a tokenizer.json), or as one token for every 4 bytes of UTF-8. The chat
    template's own tokens are not counted: leave some room.
    """

    tokens: int
    tokenizer: Path | None = None

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise UsageError(f"--token-budget {self.tokens}: give 1 or more")
        _counter(self.tokenizer)

    def fault(self, choice: Choice, pool: Pool, kept: Sequence[Choice]) -> str | None:
        one, other = answer_text(choice.chosen), answer_text(choice.rejected)
        shared = f"{prompt_text(choice.chosen)}\n{one[: _first_difference(one, other)]}"
        return "beyond_budget" if _counter(self.tokenizer)(shared) >= self.tokens else None


def _first_difference(one: str, other: str) -> int:
    """How many characters the two begin with in common; halves what is left to look at, as slices compare fast."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _by_bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN


@cache
def _counter(path: Path | None) -> Callable[[str], int]:
    """Counts the tokens of a text. Raises UsageError when the file is no tokenizer."""
    if path is None:
        return _by_bytes
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise UsageError(f"--tokenizer {path}: no tokenizer.json: {error}") from None

    def count(text: str) -> int:
        return len(tokenizer.encode(text, add_special_tokens=False).ids)

    return count
