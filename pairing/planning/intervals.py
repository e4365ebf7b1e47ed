"""Bootstrap over prompts: prompts are what was drawn at random, the rollouts of one belong together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pairing.planning.chances import Floats

__all__ = ["DRAWS", "draws_of", "interval"]

DRAWS = 400
_COVERED = 0.95


def draws_of(prompts: int, seed: int, draws: int = DRAWS) -> Iterator[Floats]:
    """How often each prompt stands in each of `draws` samples of as many prompts, drawn with replacement."""
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        yield np.bincount(rng.integers(prompts, size=prompts), minlength=prompts).astype(np.float64)


def interval(values: Floats) -> Floats:
    """(2, ...): the ends of the middle 95% of `values` (draws, ...), values that are none (NaN) left out."""
    tails = (1 - _COVERED) / 2
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nanquantile(values, [tails, 1 - tails], axis=0))
