"""The flags of patience: how long a rollout may take, and how often it is tried."""

from __future__ import annotations

import argparse
from typing import Any

from collector.options.parser import positive_int
from collector.policies import RetryPolicy, Timeouts

__all__ = ["add_options", "read_options"]

_TIMEOUTS, _RETRY = Timeouts(), RetryPolicy()
_SECONDS = (
    ("--request-timeout", _TIMEOUTS.total, "for one reply"),
    ("--connect-timeout", _TIMEOUTS.connect, "for one connection"),
    ("--rollout-timeout", _TIMEOUTS.rollout, "for all attempts at one rollout"),
    ("--stall-after", _TIMEOUTS.stall, "without any reply until that is said"),
    ("--backoff-base", _RETRY.backoff_base, "longest wait before the second attempt; doubled for each one after"),
    ("--backoff-cap", _RETRY.backoff_cap, "longest wait of our own before any attempt"),
    ("--retry-after-cap", _RETRY.retry_after_cap, "longest wait that a server's Retry-After may ask for"),
    ("--dead-after", _RETRY.dead_after, "without a connection until the run ends"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("patience (seconds)")
    group.add_argument(
        "--max-attempts", type=positive_int, default=_RETRY.max_attempts, metavar="N", help="at one rollout (default 6)"
    )
    for flag, default, text in _SECONDS:
        group.add_argument(flag, type=float, default=default, metavar="S", help=f"{text} (default {default:g})")


def read_options(args: argparse.Namespace) -> dict[str, Any]:
    return {
        "timeouts": Timeouts(
            connect=args.connect_timeout,
            total=args.request_timeout,
            rollout=args.rollout_timeout,
            stall=args.stall_after,
        ),
        "retry": RetryPolicy(
            max_attempts=args.max_attempts,
            backoff_base=args.backoff_base,
            backoff_cap=args.backoff_cap,
            retry_after_cap=args.retry_after_cap,
            dead_after=args.dead_after,
        ),
    }
