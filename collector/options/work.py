"""The flags of the work itself: how many rollouts, how they are scored, whether an earlier run goes on."""

from __future__ import annotations

import argparse
from typing import Any

from collector.options.parser import given_path, given_text, positive_int, repeats

__all__ = ["add_options", "read_options"]


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the run")
    group.add_argument(
        "--config", type=given_path, metavar="PATH", help="a TOML file of flags; the command line wins over it"
    )
    group.add_argument(
        "--num-repeats",
        type=repeats,
        default=4,
        metavar="N",
        help="rollouts a prompt (default 4), or by agent: '{my_agent: 3, _default: 2}'",
    )
    group.add_argument(
        "--num-samples-in-parallel", type=positive_int, default=32, metavar="N", help="requests in flight (default 32)"
    )
    group.add_argument(
        "--samples-per-request",
        type=positive_int,
        default=1,
        metavar="N",
        help="rollouts of a prompt asked for with one request (default 1)",
    )
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
    group.add_argument("--resume", action="store_true", help="go on with the run that the output holds")
    group.add_argument("--overwrite", action="store_true", help="discard what the output holds")
    group.add_argument(
        "--dry-run", action="store_true", help="check everything, show the first request and the plan, send nothing"
    )


def read_options(args: argparse.Namespace) -> dict[str, Any]:
    by_agent = args.num_repeats if isinstance(args.num_repeats, dict) else {}
    verifiers = args.verifier or []
    return {
        "num_repeats": max(by_agent.values()) if by_agent else args.num_repeats,
        "repeats_by_agent": by_agent,
        "num_samples_in_parallel": args.num_samples_in_parallel,
        "samples_per_request": args.samples_per_request,
        "limit": args.limit,
        "verifier": tuple(verifiers) if len(verifiers) > 1 else next(iter(verifiers), None),
        "vetoes": tuple(args.veto),
        "resume": args.resume,
        "overwrite": args.overwrite,
    }
