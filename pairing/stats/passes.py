"""pass@k: the chance that at least one of k answers to a prompt is a success."""

from __future__ import annotations

import math
from collections import Counter
from typing import NamedTuple

__all__ = ["PassAt", "Passes", "pass_at_k"]


def pass_at_k(answers: int, successes: int, k: int) -> float:
    """1 - C(n-c, k) / C(n, k): the mean over all ways to draw k of the n answers, which no estimate from fewer draws
    is (arXiv 2107.03374). 1 <= k <= answers."""
    return 1 - math.comb(answers - successes, k) / math.comb(answers, k)


class PassAt(NamedTuple):
    """The mean of pass@k over the `prompts` that have k answers."""

    k: int
    value: float
    prompts: int


class Passes:
    """Answers and successes of prompts; memory holds one number for each combination of the two."""

    def __init__(self) -> None:
        self._prompts: Counter[tuple[int, int]] = Counter()

    def add(self, answers: int, successes: int) -> None:
        if answers:
            self._prompts[answers, successes] += 1

    def at(self) -> list[PassAt]:
        """For k = 1, 2, 4, ..., and the most answers of a prompt."""
        most = max((answers for answers, _ in self._prompts), default=0)
        steps = [2**power for power in range(most.bit_length()) if 2**power < most]
        return [self._at(k) for k in [*steps, *([most] if most else [])]]

    def _at(self, k: int) -> PassAt:
        enough = {key: count for key, count in self._prompts.items() if key[0] >= k}
        prompts = sum(enough.values())
        total = math.fsum(count * pass_at_k(*key, k) for key, count in enough.items())
        return PassAt(k, total / prompts, prompts)
