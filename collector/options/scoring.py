"""What `--reverify` takes: the flags that say what to score and how, and none that would ask a server for rollouts."""

from __future__ import annotations

import argparse

from collector.errors import UsageError

__all__ = ["check_scoring_alone"]

_TAKES = frozenset(
    {
        "backoff_base",
        "backoff_cap",
        "config",
        "connect_timeout",
        "dead_after",
        "input",
        "limit",
        "max_attempts",
        "metrics_host",
        "metrics_port",
        "num_samples_in_parallel",
        "output",
        "overwrite",
        "progress",
        "request_timeout",
        "resume",
        "retry_after_cap",
        "reverify",
        "rollout_timeout",
        "stall_after",
        "verifier",
        "veto",
    }
)


def check_scoring_alone(args: argparse.Namespace) -> None:
    """Raises UsageError for a flag that makes no sense beside --reverify, and when no verifier is given."""
    if args.dry_run:
        raise UsageError(
            "--dry-run: --reverify has no request to show; to try the verifier, score a few prompts:"
            " give --limit 10 and an --output of its own"
        )
    for action in args.parser._actions:
        given = getattr(args, action.dest, action.default) != action.default
        if given and action.dest not in _TAKES:
            raise UsageError(f"{action.option_strings[0]}: leave it out: --reverify asks no server for rollouts")
    if args.num_samples_in_parallel[0] is not None:
        raise UsageError(
            "--num-samples-in-parallel: give a number: --reverify asks no server that a limit could follow"
        )
    if not args.verifier:
        raise UsageError("--reverify: say how to score: give --verifier numeric, exact, regex:pattern=..., ...")
