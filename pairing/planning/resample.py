"""Smaller groups drawn without replacement, paired by the pairing stage itself: for rules that ask more than rewards.

The strategy, the guards and the format are those of `pairmill pair`; only prompts with that many rollouts can be asked.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from pairing.outcomes import Policy, pair_group
from pairing.reading.groups import Group
from pairing.reading.rollouts import Rollout

__all__ = ["DRAWS", "Resampler"]

DRAWS = 16
"""Groups drawn of each prompt for each number of repeats; all of them where there are no more."""


@dataclass(frozen=True, slots=True)
class Resampler:
    """`policies` has one for each gap."""

    policies: Sequence[Policy]
    repeats: Sequence[int]
    seed: int = 0

    def odds(self, group: Group) -> tuple[float, ...]:
        """For each repeats, for each gap: the chance of a pair, the sum of gaps, the number of pairs. NaN where the
        group has fewer rollouts. The same for the same seed and prompt, whatever stands around it."""
        found: list[float] = []
        for repeats in self.repeats:
            if repeats > len(group.rollouts):
                found += [math.nan] * (3 * len(self.policies))
                continue
            drawn = list(self._drawn(group, repeats))
            for policy in self.policies:
                found += _mean_odds(drawn, policy)
        return tuple(found)

    def _drawn(self, group: Group, repeats: int) -> Iterator[Group]:
        rollouts = group.rollouts
        parts: Iterator[Sequence[Rollout]]
        if math.comb(len(rollouts), repeats) <= DRAWS:
            parts = combinations(rollouts, repeats)
        else:
            rng = random.Random(f"{self.seed}/{group.task_index}/{group.prompt_id}/{repeats}")
            places = (sorted(rng.sample(range(len(rollouts)), repeats)) for _ in range(DRAWS))
            parts = ([rollouts[place] for place in chosen] for chosen in places)
        for part in parts:
            yield Group(group.task_index, group.prompt_id, tuple(part), 0)


def _mean_odds(groups: Sequence[Group], policy: Policy) -> list[float]:
    paired = gaps = pairs = 0.0
    for group in groups:
        kept = pair_group(group, policy).kept
        paired += bool(kept)
        pairs += len(kept)
        gaps += math.fsum(each.pair.gap for each in kept)
    return [paired / len(groups), gaps / len(groups), pairs / len(groups)]
