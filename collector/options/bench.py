"""The flags of a sweep: which levels, how long and how often each, how caches are kept out; and what it cannot take."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from collector.errors import UsageError
from collector.options.parser import given_text, positive_int

if TYPE_CHECKING:
    from collector.parallelism.settings import BenchSettings
    from collector.settings import CollectSettings

__all__ = ["add_bench_options", "bench_settings", "check_fits_bench"]

_CACHE_MODES = ("auto", "salt", "disjoint", "none")
"""Those of `parallelism.settings`, written out so that --help need not import it; a test holds them equal."""
_EMBEDDED_SECONDS, _SECONDS = 1.2, 20.0
_EMBEDDED_PASSES, _PASSES = 5, 3
_EMBEDDED_AUTO_PASSES = 4
"""Auto's own trials are long: with them and so many passes the whole is still under two minutes."""
_EMBEDDED_MOST, _MOST = 128, 256
_NOT_HERE = {
    "num_samples_in_parallel": "it is what bench finds: give --levels or --max-level, and --auto for auto",
    "parallel_max": "bench holds each level at a fixed number",
    "until_gap": "bench asks every prompt the same number of times",
    "max_repeats": "bench asks every prompt the same number of times",
    "min_chosen": "bench asks every prompt the same number of times",
    "futile_after": "bench asks every prompt the same number of times",
    "metrics_port": "bench serves no metrics",
    "metrics_host": "bench serves no metrics",
}


def add_bench_options(parser: argparse.ArgumentParser) -> None:
    """The flags that only the sweep has."""
    group = parser.add_argument_group("the sweep (docs/bench.md)")
    group.add_argument(
        "--levels", type=given_text, metavar="N,N,...", help="requests in flight to measure, and no others: 1,2,4,8"
    )
    group.add_argument(
        "--max-level",
        type=positive_int,
        metavar="N",
        help=f"measure 1, 2, 4, ... up to this, and closer around the knee (default {_MOST};"
        f" {_EMBEDDED_MOST} with the embedded model)",
    )
    group.add_argument(
        "--passes",
        type=positive_int,
        metavar="N",
        help=f"over all levels (default {_PASSES}; {_EMBEDDED_PASSES} with the embedded model,"
        f" {_EMBEDDED_AUTO_PASSES} with --auto too)",
    )
    group.add_argument(
        "--level-seconds",
        type=float,
        metavar="S",
        help=f"measured at a level in each pass (default {_SECONDS:g}; {_EMBEDDED_SECONDS:g} with the embedded model)",
    )
    group.add_argument(
        "--auto",
        action="store_true",
        help="in each pass also measure --num-samples-in-parallel auto, and draw its limit over time",
    )
    group.add_argument(
        "--cache-bust",
        choices=_CACHE_MODES,
        default="auto",
        help="against a server that remembers prompts: a cache_salt, prompts of its own for each trial, or nothing"
        " (default: salt where the server knows it, else disjoint)",
    )


def check_fits_bench(args: argparse.Namespace) -> None:
    """Raises UsageError for a flag of a run that a sweep has no use for."""
    for action in args.parser._actions:
        reason = _NOT_HERE.get(action.dest)
        if reason is not None and getattr(args, action.dest) != action.default:
            raise UsageError(f"{action.option_strings[0]}: leave it out: {reason}")
    if args.levels is not None and args.max_level is not None:
        raise UsageError("--levels and --max-level: give one")


def bench_settings(
    args: argparse.Namespace, collect: CollectSettings, folder: Path, *, embedded: bool
) -> BenchSettings:
    """The sweep that the flags ask for. Raises UsageError for a value that makes no sense."""
    from collector.parallelism.levels import parse_levels
    from collector.parallelism.settings import BenchSettings

    embedded_passes = _EMBEDDED_AUTO_PASSES if args.auto else _EMBEDDED_PASSES
    return BenchSettings(
        collect=collect,
        folder=folder,
        levels=parse_levels(args.levels) if args.levels else (),
        max_level=args.max_level or (_EMBEDDED_MOST if embedded else _MOST),
        passes=args.passes or (embedded_passes if embedded else _PASSES),
        level_seconds=(_EMBEDDED_SECONDS if embedded else _SECONDS)
        if args.level_seconds is None
        else args.level_seconds,
        auto=args.auto,
        cache=args.cache_bust,
    )
