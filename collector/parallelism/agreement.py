"""Whether rewards and lengths are the same at every level, as they must be: load may cost time, never quality.

A permutation test: were the levels all alike, the values of a prompt could change places between them. Nothing is
assumed of how rewards or lengths are distributed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["DOUBT", "Agreement", "agreement"]

DOUBT = 0.002
"""Below this p the levels are said to differ. Two tests a sweep: one sweep in 250 is accused without cause."""
_PERMUTATIONS = 2000
_LEAST_PROMPTS = 10
_MOST_PROMPTS = 1000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Agreement:
    """`prompts` were there at every one of `levels` (or, unpaired, in all of them together). `means` go with `levels`.
    `differs` where chance would give such differences less than once in five hundred times."""

    levels: tuple[int, ...]
    means: tuple[float, ...]
    prompts: int
    p: float
    paired: bool

    @property
    def differs(self) -> bool:
        return self.p < DOUBT

    @property
    def widest(self) -> float:
        """The largest difference between the means of two levels."""
        return max(self.means) - min(self.means)


def agreement(values: Mapping[int, Mapping[int, float]], *, paired: bool, seed: int = 0) -> Agreement | None:
    """The test on level -> prompt -> value. `paired`: a prompt of the same number is the same at each level, so that
    differences between prompts drop out. Levels with fewer than ten prompts (in common) are left out, the smallest
    first; None when fewer than two levels are left."""
    rng = np.random.default_rng(seed)
    return _paired(values, rng) if paired else _unpaired(values, rng)


def _paired(values: Mapping[int, Mapping[int, float]], rng: np.random.Generator) -> Agreement | None:
    levels = sorted(values, key=lambda level: len(values[level]))
    while len(levels) > 1:
        common = sorted(set.intersection(*(set(values[level]) for level in levels)))[:_MOST_PROMPTS]
        if len(common) >= _LEAST_PROMPTS:
            break
        levels = levels[1:]
    if len(levels) < 2:
        return None
    levels.sort()
    table = np.array([[values[level][prompt] for level in levels] for prompt in common])
    found = _unlike(table)
    as_far = sum(_unlike(rng.permuted(table, axis=1)) >= found for _ in range(_PERMUTATIONS))
    return _agreement(levels, table.mean(axis=0), len(common), as_far, paired=True)


def _unlike(table: Floats) -> float:
    # Rounded: sums of the same numbers in another order differ in the last bits, and count as equal.
    return round(float(table.mean(axis=0).var()), 12)


def _unpaired(values: Mapping[int, Mapping[int, float]], rng: np.random.Generator) -> Agreement | None:
    levels = sorted(level for level in values if len(values[level]) >= _LEAST_PROMPTS)
    if len(levels) < 2:
        return None
    groups = [np.array(list(values[level].values()))[:_MOST_PROMPTS] for level in levels]
    sizes = np.array([len(group) for group in groups])
    pooled = np.concatenate(groups)
    borders = np.cumsum(sizes)[:-1]

    def unlike(some: Floats) -> float:
        means = np.array([part.mean() for part in np.split(some, borders)])
        return round(float((sizes * (means - pooled.mean()) ** 2).sum() / sizes.sum()), 12)

    found = unlike(pooled)
    as_far = sum(unlike(rng.permutation(pooled)) >= found for _ in range(_PERMUTATIONS))
    means = np.array([group.mean() for group in groups])
    return _agreement(levels, means, int(sizes.sum()), as_far, paired=False)


def _agreement(levels: list[int], means: Floats, prompts: int, as_far: int, *, paired: bool) -> Agreement:
    p = (as_far + 1) / (_PERMUTATIONS + 1)
    return Agreement(tuple(levels), tuple(map(float, means)), prompts, p, paired)
