"""The flags of the work itself: how many rollouts, how they are scored, whether an earlier run goes on."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from collector.errors import UsageError
from collector.options.parser import given_path, given_text, parallelism, positive_int, repeats

__all__ = ["add_options", "read_options"]

_REPEATS = 4
_REPEATS_UNTIL_GAP = 8


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the run")
    group.add_argument(
        "--config", type=given_path, metavar="PATH", help="a TOML file of flags; the command line wins over it"
    )
    group.add_argument(
        "--num-repeats",
        type=repeats,
        metavar="N",
        help="rollouts a prompt (default 4), or by agent: '{my_agent: 3, _default: 2}'",
    )
    group.add_argument(
        "--num-samples-in-parallel",
        type=parallelism,
        default=(None, 32),
        metavar="N",
        help="requests in flight (default 32); auto, or a range such as 8-256: as many as the server can use",
    )
    group.add_argument(
        "--samples-per-request",
        type=positive_int,
        default=1,
        metavar="N",
        help="rollouts of a prompt asked for with one request (default 1)",
    )
    _add_early_stop(group)
    _add_scoring(group)
    group.add_argument("--resume", action="store_true", help="go on with the run that the output holds")
    group.add_argument("--overwrite", action="store_true", help="discard what the output holds")
    group.add_argument(
        "--dry-run", action="store_true", help="check everything, show the first request and the plan, send nothing"
    )


def _add_early_stop(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--until-gap",
        type=float,
        metavar="G",
        help="no further rollouts of a prompt that has two whose rewards are G apart (docs/early-stop.md)",
    )
    group.add_argument(
        "--max-repeats", type=positive_int, metavar="K", help="with --until-gap: most rollouts of a prompt (default 8)"
    )
    group.add_argument(
        "--min-chosen", type=float, metavar="R", help="with --until-gap: the better one's reward is R or more"
    )
    group.add_argument(
        "--futile-after",
        type=positive_int,
        metavar="N",
        help="with --until-gap: give a prompt up whose first N rewards are all equal (default never)",
    )


def _add_scoring(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--limit", type=positive_int, metavar="N", help="read only the first N rows")
    group.add_argument(
        "--verifier",
        type=given_text,
        action="append",
        metavar="SPEC",
        help="how answers are scored: numeric, regex:pattern=..., ...; repeatable with weights: '0.7*numeric'",
    )
    group.add_argument(
        "--veto",
        type=given_text,
        action="append",
        default=[],
        metavar="SPEC",
        help="a verifier that must give more than 0, or the reward is 0; repeatable",
    )


def read_options(args: argparse.Namespace) -> dict[str, Any]:
    by_agent = args.num_repeats if isinstance(args.num_repeats, dict) else {}
    verifiers = args.verifier or []
    return {
        "num_repeats": _most_repeats(args, by_agent),
        "repeats_by_agent": by_agent,
        "num_samples_in_parallel": args.num_samples_in_parallel[1],
        "parallel_min": args.num_samples_in_parallel[0],
        "until_gap": args.until_gap,
        "min_chosen": args.min_chosen,
        "futile_after": args.futile_after,
        "samples_per_request": args.samples_per_request,
        "limit": args.limit,
        "verifier": tuple(verifiers) if len(verifiers) > 1 else next(iter(verifiers), None),
        "vetoes": tuple(args.veto),
        "resume": args.resume,
        "overwrite": args.overwrite,
    }


def _most_repeats(args: argparse.Namespace, by_agent: Mapping[str, int]) -> int:
    """How many rollouts a prompt has, or at most has where a gap ends them. Raises UsageError for both."""
    if args.until_gap is None:
        if args.max_repeats is not None:
            raise UsageError(
                f"--max-repeats {args.max_repeats}: goes with --until-gap: give that too, or --num-repeats"
            )
        return max(by_agent.values()) if by_agent else args.num_repeats or _REPEATS
    if args.num_repeats is not None:
        raise UsageError("--num-repeats and --until-gap: give one; --max-repeats is the most with --until-gap")
    return args.max_repeats or _REPEATS_UNTIL_GAP
