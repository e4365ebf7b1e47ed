"""What the rollouts of an arm are worth: usable pairs for a million output tokens, at each number of repeats.

Arms answer the same prompts with the same seeds, so they are compared prompt by prompt: each draw of the bootstrap has
the same prompts of both, and what makes a prompt hard for all arms cancels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pairing.planning.chances import PAIRED, Floats, Rule, subset_odds
from pairing.planning.figures import Between, between
from pairing.planning.intervals import draws_of
from pairing.planning.samples import PromptSamples
from pairing.tuning.grid import Arm

__all__ = ["ArmData", "Score", "ahead", "score_of"]

_MILLION = 1e6


class ArmData(NamedTuple):
    """What was sampled for an arm: prompts by task index, and the rollouts that failed for good."""

    prompts: Sequence[PromptSamples]
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Score:
    """An arm on one rung. `pairs` (repeats, draws) and `tokens` alike are sums over prompts, in draws of the bootstrap
    of which the first has each prompt once; `per_million` has the figure of each repeats. Tokens are rollouts where no
    row tells its usage (`told` is False)."""

    arm: Arm
    prompts: int
    repeats: tuple[int, ...]
    pairs: Floats
    tokens: Floats
    per_million: tuple[Between, ...]
    paired: tuple[Between, ...]
    truncated: Between
    told: bool
    failed: int

    @property
    def best(self) -> int:
        """The place of the repeats with the highest figure; the fewest of equals."""
        values = [each.value if math.isfinite(each.value) else -1.0 for each in self.per_million]
        return values.index(max(values))

    @property
    def figure(self) -> Between:
        """Usable pairs for a million output tokens at the best repeats."""
        return self.per_million[self.best]


def score_of(arm: Arm, data: ArmData, prompts: int, repeats: Sequence[int], rule: Rule | None, seed: int) -> Score:
    """`prompts` is how many were asked: those without a rollout give no pair. `rule` is None where the prompts bring
    odds of their own (`PromptSamples.by_resampling`). A prompt that lacks rollouts counts with those that it has."""
    draws = np.stack([np.ones(prompts), *draws_of(prompts, seed)])
    known = [prompt for prompt in data.prompts if math.isfinite(prompt.output_tokens)]
    usual = math.fsum(prompt.output_tokens for prompt in known) / len(known) if known else 1.0
    pairs, paired, tokens = (np.zeros((len(repeats), prompts)) for _ in range(3))
    cut, rollouts = np.zeros(prompts), np.zeros(prompts)
    for prompt in data.prompts:
        place = prompt.key[0]
        each = prompt.output_tokens if math.isfinite(prompt.output_tokens) else usual
        pairs[:, place], paired[:, place] = _odds(prompt, repeats, rule)
        tokens[:, place] = [each * min(number, prompt.count) for number in repeats]
        cut[place], rollouts[place] = prompt.truncated, prompt.count
    sums, spent = pairs @ draws.T, tokens @ draws.T
    return Score(
        arm=arm,
        prompts=prompts,
        repeats=tuple(repeats),
        pairs=sums,
        tokens=spent,
        per_million=tuple(between(_ratio(_MILLION * sums[at], spent[at])) for at in range(len(repeats))),
        paired=tuple(between(draws @ paired[at] / prompts) for at in range(len(repeats))),
        truncated=between(_ratio(draws @ cut, draws @ rollouts)),
        told=bool(known),
        failed=data.failed,
    )


def ahead(one: Score, other: Score, one_at: int | None = None, other_at: int | None = None) -> Between:
    """By what share `one` is better than `other`, each at its best repeats unless told: 0.1 is 10% more pairs a token.
    Both are scores of the same rung."""
    found = []
    for score, place in ((one, one_at), (other, other_at)):
        at = score.best if place is None else place
        found.append(_ratio(score.pairs[at], score.tokens[at]))
    return between(_ratio(found[0], found[1]) - 1)


def _odds(prompt: PromptSamples, repeats: Sequence[int], rule: Rule | None) -> tuple[list[float], list[float]]:
    """Pairs expected, and the chance of any, at each of `repeats`."""
    if rule is None:
        odds = np.array(prompt.by_resampling).reshape(len(repeats), -1, 3)[:, 0]
        odds = np.nan_to_num(odds)  # fewer rollouts than repeats: none can be drawn
        return list(odds[:, 2]), list(odds[:, 0])
    chances = subset_odds(prompt, max(repeats), rule)[:, 0, PAIRED]
    found = [float(chances[min(number, prompt.count)]) for number in repeats]
    return found, found


def _ratio(part: Floats, of: Floats) -> Floats:
    return np.asarray(np.divide(part, of, out=np.full(np.shape(part), np.nan), where=of > 1e-12))
