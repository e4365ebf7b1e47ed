"""What a pairing run was asked to do: one frozen object, checked when it is made.

The command line and `build_pairs` both make one. A new choice is a field here with a safe default, its check in
`__post_init__`, its flag in `options`, and its use where `policy` hands it on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from collector.errors import UsageError
from pairing.formats import Format, get_format
from pairing.formats.policy import SKIP, UnfitPolicy
from pairing.guards import GapKind, Guards
from pairing.outcomes import Policy
from pairing.strategies import Strategy, make_strategy

__all__ = ["MEBIBYTE", "PairSettings"]

MEBIBYTE = 2**20
_LEAST_INDEX = 8
_LEAST_GROUP = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSettings:
    """Raises UsageError, naming the flag and the value, for what cannot be."""

    strategy: str | Strategy = "best_worst"
    """A specification (`strategies.make_strategy`), or the strategy itself, whose own parameters then count."""
    min_gap: float = 0.15
    """The smallest gap of a pair."""
    gap_kind: GapKind = "absolute"
    """How gaps are measured: see `guards.pairs.MinGap`. Only an absolute one is the strategy's business."""
    guards: Guards = field(default_factory=Guards)
    format: str | Format = "trl"
    seed: int = 0
    """For strategies that draw."""
    unfit: UnfitPolicy = SKIP
    """What becomes of a pair that the format cannot hold, and of answers of several turns; for a format by name."""
    validation: float = 0.0
    """The share of prompts whose pairs go to a validation file of their own; 0 for one file of all."""
    card: bool = False
    """Write a dataset card, README.md, beside the output."""
    include_incomplete: bool = True
    """Read the file of incomplete groups beside each input too."""
    group_size: int | None = None
    """Group so many rows that stand together, for files without any identity; None groups by identity."""
    workers: int = 1
    """Processes that pair; more than one for a single file in task order. The result is the same."""
    index_memory: int = 256
    """MiB that the index of input in no order may take before it goes to disk (28 bytes a row)."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.min_gap) or self.min_gap < 0:
            raise UsageError(f"--min-gap {self.min_gap}: give a number, 0 or more")
        if self.group_size is not None and self.group_size < _LEAST_GROUP:
            raise UsageError(f"--group-size {self.group_size}: a pair needs two rollouts of a prompt: give 2 or more")
        if self.workers < 1:
            raise UsageError(f"--workers {self.workers}: give 1 or more")
        if self.index_memory < _LEAST_INDEX:
            raise UsageError(f"--index-memory {self.index_memory}: give {_LEAST_INDEX} or more (MiB)")
        if not 0 <= self.validation < 1:
            raise UsageError(
                f"--validation {self.validation:g}: give a share under 1, 0.05 for one prompt in twenty; 0 is no split"
            )
        self.policy()

    def policy(self) -> Policy:
        """What is done with each group."""
        guards, strategy = self.guards, self.strategy
        if self.gap_kind != "absolute":
            guards = replace(guards, gap_kind=self.gap_kind)
        if isinstance(strategy, str):
            absolute = guards.gap_kind == "absolute"
            strategy = make_strategy(strategy, min_gap=self.min_gap if absolute else 0.0, seed=self.seed)
            if not (absolute and hasattr(strategy, "min_gap")):
                guards = replace(guards, min_gap=max(self.min_gap, guards.min_gap or 0.0))
        target = get_format(self.format, self.unfit) if isinstance(self.format, str) else self.format
        return Policy(strategy, guards.checks(), target)
