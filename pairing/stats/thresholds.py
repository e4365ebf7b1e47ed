"""What a run must reach: each threshold is a flag, and one line where it is not met."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from collector.errors import UsageError
from pairing.stats.figures import Figures

__all__ = ["THRESHOLDS", "Threshold", "given_thresholds", "unmet"]


class Threshold(NamedTuple):
    """`least` is True where the value must not be under it. A share is a number from 0 to 1."""

    flag: str
    what: str
    value: Callable[[Figures], float | None]
    least: bool
    share: bool


THRESHOLDS = (
    Threshold("--min-yield", "prompts with a pair", lambda f: f.pair_yield, True, True),
    Threshold("--min-pairs", "pairs", lambda f: f.pairs, True, False),
    Threshold("--min-gap-mean", "mean gap", lambda f: f.mean_gap, True, False),
    Threshold("--min-unique", "unique answers of a prompt", lambda f: f.unique, True, True),
    Threshold("--max-truncated", "truncated answers", lambda f: f.truncated, False, True),
    Threshold("--max-chosen-longer", "pairs whose chosen side is longer", lambda f: f.chosen_longer, False, True),
    Threshold("--max-all-same", "prompts whose rewards are all equal", lambda f: f.all_same, False, True),
    Threshold("--max-saturated", "saturated prompts", lambda f: f.saturated, False, True),
    Threshold("--max-hopeless", "hopeless prompts", lambda f: f.hopeless, False, True),
)


@dataclass(frozen=True, slots=True)
class _Given:
    threshold: Threshold
    bound: float


def given_thresholds(args: argparse.Namespace) -> list[_Given]:
    """Those that were given. Raises UsageError for a bound that nothing can meet or miss."""
    values: Mapping[str, float | None] = vars(args)
    found = []
    for threshold in THRESHOLDS:
        bound = values[threshold.flag.removeprefix("--").replace("-", "_")]
        if bound is None:
            continue
        if not (0 <= bound <= 1 if threshold.share else math.isfinite(bound) and bound >= 0):
            wanted = "a share from 0 to 1" if threshold.share else "a number, 0 or more"
            raise UsageError(f"{threshold.flag} {bound:g}: give {wanted}")
        found.append(_Given(threshold, bound))
    return found


def unmet(given: list[_Given], figures: Figures) -> Iterator[str]:
    """A line for each that is not met. What cannot be told, as there is nothing to tell of, is not met."""
    for each in given:
        threshold, value = each.threshold, each.threshold.value(figures)
        shown = f"{threshold.flag} {each.bound:g}"
        if value is None:
            yield f"{shown} is not met: {threshold.what}: there are none to tell of"
        elif (value < each.bound) if threshold.least else (value > each.bound):
            yield f"{shown} is not met: {threshold.what}: {_told(value, each.bound)}"


def _told(value: float, bound: float) -> str:
    """As short as can be without looking like the bound itself."""
    return next((text for digits in range(3, 17) if float(text := f"{value:.{digits}g}") != bound), repr(value))
