"""The flags of `pairmill tune`, and the grid that they ask for."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from collector.errors import UsageError
from pairing.options.flags import add_policy_options, add_strategy
from pairing.planning.options import whole_numbers

if TYPE_CHECKING:
    from pairing.tuning.grid import Grid

__all__ = ["add_tune_options", "grid_of"]

_HOTTEST = 100.0


def add_tune_options(parser: argparse.ArgumentParser) -> None:
    """Its own, and pairing's. They come after those of a collection: the parser resolves conflicts, and --temperature,
    --top-p and --num-repeats take several here."""
    group = parser.add_argument_group("the grid and the pilot")
    group.add_argument(
        "--temperature",
        type=numbers,
        default=(0.4, 0.6, 0.8, 1.0, 1.2),
        metavar="X[,X...]",
        help="to compare (default 0.4,0.6,0.8,1.0,1.2)",
    )
    group.add_argument(
        "--top-p", type=numbers, default=(0.9, 1.0), metavar="X[,X...]", help="to compare (default 0.9,1.0)"
    )
    group.add_argument(
        "--num-repeats",
        type=whole_numbers,
        default=(2, 4, 8),
        metavar="N[,N...]",
        help="to compare (default 2,4,8); the most is sampled, the others cost nothing",
    )
    group.add_argument(
        "--pilot", type=int, default=32, metavar="N", help="prompts of the first rung, drawn at random (default 32)"
    )
    group.add_argument(
        "--eta",
        type=int,
        default=3,
        metavar="N",
        help="a rung keeps one arm in N, on N times the prompts (default 3)",
    )
    group.add_argument(
        "--max-truncated",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="most answers that may be cut at the token limit (default 0.1)",
    )
    group.add_argument(
        "--max-requests", type=int, metavar="N", help="most requests in all; the pilot is made smaller to fit"
    )
    pairing = parser.add_argument_group("pairing")
    add_strategy(pairing)
    add_policy_options(parser, pairing)


def grid_of(args: argparse.Namespace) -> Grid:
    """Raises UsageError for a value that cannot be."""
    from pairing.tuning.grid import Grid

    for flag, values, least, most in (
        ("--temperature", args.temperature, 0.0, _HOTTEST),
        ("--top-p", args.top_p, 0.0, 1.0),
        ("--max-truncated", (args.max_truncated,), 0.0, 1.0),
    ):
        wrong = next((value for value in values if not least <= value <= most), None)
        if wrong is not None:
            raise UsageError(f"{flag} {wrong:g}: give numbers from {least:g} to {most:g}")
    for flag, value, least in (
        ("--pilot", args.pilot, 2),
        ("--eta", args.eta, 2),
        ("--max-requests", args.max_requests if args.max_requests is not None else 1, 1),
    ):
        if value < least:
            raise UsageError(f"{flag} {value}: give {least} or more")
    return Grid(args.temperature, args.top_p, args.num_repeats)


def numbers(text: str) -> tuple[float, ...]:
    """An argparse type: numbers, ascending, each once."""
    try:
        return tuple(sorted({float(part) for part in text.split(",")}))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give numbers with commas between: 0.6,0.8") from None
