"""The flags of `pairmill plan`."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from pairing.options.flags import add_group_size, add_policy_options, add_strategy

__all__ = ["add_plan_options", "gaps", "whole_numbers"]

_MOST_REPEATS = 1024


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    """Its own, and those that pairing has, but for what is written. The parser resolves conflicts: --min-gap takes
    several here."""
    parser.add_argument("--input", type=Path, nargs="+", required=True, metavar="PATH", help="rollouts, JSONL")
    add_group_size(parser)
    parser.add_argument(
        "--repeats",
        type=whole_numbers,
        default=(2, 3, 4, 6, 8, 12, 16),
        metavar="N[,N...]",
        help="numbers of repeats to foretell (default 2,3,4,6,8,12,16)",
    )
    parser.add_argument("--pairs-wanted", type=int, metavar="N", help="tell how many prompts and tokens N pairs take")
    parser.add_argument("--price-per-million", type=float, metavar="X", help="price of a million output tokens")
    parser.add_argument(
        "--input-price-per-million", type=float, metavar="X", help="price of a million input tokens (default 0)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="for the draws of intervals (default 0)")
    parser.add_argument("--json", action="store_true", help="one line of JSON in place of the tables")
    group = parser.add_argument_group("pairing")
    add_strategy(group)
    add_policy_options(parser, group)
    parser.add_argument(
        "--min-gap",
        type=gaps,
        default=(0.1, 0.15, 0.3),
        metavar="X[,X...]",
        help="smallest gaps to foretell (default 0.1,0.15,0.3)",
    )


def whole_numbers(text: str) -> tuple[int, ...]:
    """An argparse type: numbers of repeats, ascending, each once."""
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give whole numbers with commas between: 2,4,8") from None
    if found[0] < 2 or found[-1] > _MOST_REPEATS:
        raise argparse.ArgumentTypeError(f"{text}: give numbers from 2 to {_MOST_REPEATS}: a pair needs two rollouts")
    return tuple(found)


def gaps(text: str) -> tuple[float, ...]:
    """An argparse type: gaps, ascending, each once."""
    try:
        found = sorted({float(part) for part in text.split(",")})
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give numbers with commas between: 0.1,0.3") from None
    if not all(math.isfinite(gap) and gap >= 0 for gap in found):
        raise argparse.ArgumentTypeError(f"{text}: give numbers, 0 or more")
    return tuple(found)
