"""The chance that k of a prompt's n rollouts hold a usable pair of best and worst, and its expected gap: exact.

Drawn without replacement, so the mean over all C(n, k) groups is had without drawing one (the argument of pass@k's
unbiased estimate, arXiv 2107.03374, for the best and the worst at once). With F(a, b) the chance that no drawn rollout
has a reward of level a or more (among those that may be chosen) or under level b (among those that may be rejected),
the best is level i and the worst is level j with the chance F(i+1, j) - F(i, j) - F(i+1, j+1) + F(i, j+1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pairing.planning.samples import PromptSamples

__all__ = ["GAP", "PAIRED", "Floats", "Ints", "Rule", "joint", "levels_of", "subset_odds"]

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]

PAIRED, GAP = 0, 1
"""Places in the last axis of odds: the chance of a pair, and the gap times that chance."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Best against worst is a pair when its gap is one of `gaps` or more, for each of them, and at most `max_gap`."""

    gaps: tuple[float, ...]
    max_gap: float = math.inf

    def usable(self, values: Floats) -> Floats:
        """(gaps, ..., best, worst): 1 where the levels `values` (..., levels) make a pair; in plain floats, without a
        tolerance, as the pairing stage compares."""
        with np.errstate(over="ignore"):
            gap = values[..., :, None] - values[..., None, :]
        sound = (gap > 0) & np.isfinite(gap) & (gap <= self.max_gap)
        return np.stack([sound & (gap >= least) for least in self.gaps]).astype(np.float64)


def subset_odds(prompt: PromptSamples, most: int, rule: Rule) -> Floats:
    """(repeats 0 to `most`, gaps, 2): PAIRED and GAP for each number of repeats; NaN past the prompt's rollouts."""
    found = np.full((most + 1, len(rule.gaps), 2), np.nan)
    reach = min(most, prompt.count)
    found[: reach + 1] = 0.0
    if len(prompt.members) < 2:
        return found
    values, above, below = levels_of(prompt)
    bad = np.minimum(above[:, None] + below[None, :], prompt.count)
    chance = joint(np.moveaxis(_avoiding(prompt.count, reach)[bad], -1, 0))
    usable = rule.usable(values)
    with np.errstate(over="ignore", invalid="ignore"):
        gap = np.nan_to_num(values[:, None] - values[None, :], posinf=0.0, neginf=0.0)
    found[: reach + 1, :, PAIRED] = np.clip(np.einsum("kij,gij->kg", chance, usable), 0.0, 1.0)  # of rounding
    found[: reach + 1, :, GAP] = np.einsum("kij,gij->kg", chance, usable * gap)
    return found


def levels_of(prompt: PromptSamples) -> tuple[Floats, Ints, Ints]:
    """The prompt's different rewards, ascending; how many that may be chosen have level i or more, for i up to the
    number of levels; how many that may be rejected are under level i."""
    rewards = np.array([member.reward for member in prompt.members])
    values, places = np.unique(rewards, return_inverse=True)
    choose = np.bincount(places, [member.choose for member in prompt.members], len(values)).astype(np.int64)
    reject = np.bincount(places, [member.reject for member in prompt.members], len(values)).astype(np.int64)
    above = np.concatenate((choose[::-1].cumsum()[::-1], [0]))
    below = np.concatenate(([0], reject.cumsum()))
    return values, above, below


def joint(avoiding: Floats) -> Floats:
    """F (..., levels + 1, levels + 1) -> the chance that the best is level i and the worst is level j (..., i, j). True
    only for i > j, where the two sides' levels are apart."""
    return avoiding[..., 1:, :-1] - avoiding[..., :-1, :-1] - avoiding[..., 1:, 1:] + avoiding[..., :-1, 1:]


@lru_cache(maxsize=256)
def _avoiding(count: int, most: int) -> Floats:
    """(bad, repeats): the chance that none of `bad` of `count` rollouts is among so many drawn, for 0 to `most`."""
    bad = np.arange(count + 1)
    columns = [np.ones(count + 1)]
    for drawn in range(most):
        columns.append(columns[-1] * np.maximum(count - bad - drawn, 0) / (count - drawn))
    return np.stack(columns, axis=-1)
