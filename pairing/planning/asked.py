"""What is planned for: the policies of each gap, and whether rewards alone decide under them."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from collector.errors import UsageError
from pairing.options.flags import pair_settings
from pairing.outcomes import Policy
from pairing.planning.chances import Rule
from pairing.planning.resample import Resampler
from pairing.planning.samples import Pilot, read_pilot
from pairing.reading.groups import Group
from pairing.settings import PairSettings
from pairing.strategies import BestWorst

__all__ = ["Asked"]

_TEXTS = ("min_length_ratio", "max_length_ratio", "max_similarity", "token_budget")
"""Guards that read the texts of a picked pair."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The settings of each gap. `rule` is None where more than rewards decides: then groups are resampled."""

    settings: tuple[PairSettings, ...]
    gaps: tuple[float, ...]

    @classmethod
    def of(cls, args: argparse.Namespace, gaps: Sequence[float]) -> Asked:
        """What the pairing flags ask for, at each of `gaps`. Raises UsageError."""
        if args.require_members is not None:
            raise UsageError("--require-complete: leave it out: other numbers of repeats are what is foretold")
        settings = [pair_settings(argparse.Namespace(**{**vars(args), "min_gap": gap})) for gap in gaps]
        found = {_gap_of(each.policy(), gap): each for gap, each in zip(gaps, settings, strict=True)}
        return cls(tuple(found.values()), tuple(found))

    @property
    def rule(self) -> Rule | None:
        first = self.settings[0]
        guards = first.policy().checks, first.guards
        texts = any(getattr(guards[1], name) is not None for name in _TEXTS)
        if texts or first.gap_kind != "absolute" or not isinstance(first.policy().strategy, BestWorst):
            return None
        return Rule(self.gaps, math.inf if first.guards.max_gap is None else first.guards.max_gap)

    def read(self, groups: Iterable[Group], repeats: Sequence[int], seed: int) -> Pilot:
        """One pass over `groups`."""
        policies = [each.policy() for each in self.settings]
        resampler = Resampler(policies, repeats, seed) if self.rule is None else None
        return read_pilot(groups, policies[0], resampler, seed=seed)


def _gap_of(policy: Policy, gap: float) -> float:
    """A specification may have its own (best_worst:min_gap=0.2), which counts then."""
    return policy.strategy.min_gap if isinstance(policy.strategy, BestWorst) else gap
