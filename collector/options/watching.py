"""The flags of watching a run: what is shown while it goes on, and where Prometheus may ask. They change no setting."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from collector.options.parser import given_text

if TYPE_CHECKING:
    from collector.live.watch import Watch

__all__ = ["add_options", "watch_from"]

_PROGRESS = ("auto", "bar", "plain", "off")


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("watching")
    group.add_argument(
        "--progress",
        choices=_PROGRESS,
        default="auto",
        help="a bar, plain lines now and then, or neither (default: a bar in a terminal, else lines)",
    )
    group.add_argument(
        "--metrics-port", type=_port, metavar="N", help="serve Prometheus metrics while it runs; 0 takes a free port"
    )
    group.add_argument(
        "--metrics-host",
        type=given_text,
        default="127.0.0.1",
        metavar="HOST",
        help="the address to serve them on (default 127.0.0.1)",
    )


def watch_from(args: argparse.Namespace) -> Watch:
    """How the parsed flags want the run watched."""
    from collector.live.watch import Watch  # late: --help does without

    return Watch(progress=args.progress, metrics_port=args.metrics_port, metrics_host=args.metrics_host)


def _port(text: str) -> int:
    """An argparse type: a TCP port, 0 for any."""
    value = int(text)
    if not 0 <= value <= 65_535:
        raise argparse.ArgumentTypeError(f"{text}: give a port from 1 to 65535, or 0 for a free one")
    return value


_port.__name__ = "whole number"
