"""How many connections this process may hold: many systems allow 1024 open files, unless a program asks for more."""

from __future__ import annotations

import resource

from collector.errors import UsageError

__all__ = ["allow_open_files", "connections_allowed"]

_OTHERS = 64
"""Files of the run itself, the terminal, the event loop, and some to spare."""
_MOST = 60_000
"""One host has 65,536 ports to connect from."""


def connections_allowed() -> int:
    """How many connections fit into this process's limits, as far as it may raise them; at least 1."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return _MOST if hard == resource.RLIM_INFINITY else max(1, min(_MOST, (hard - _OTHERS) // 2))


def allow_open_files(in_parallel: int) -> None:
    """Raises this process's own limit so that `in_parallel` connections fit, with as many again that close.

    Raises UsageError, naming the limit, when the system allows fewer: the run would fail in its middle.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    wanted = 2 * in_parallel + _OTHERS
    if soft != unlimited and soft < wanted:
        soft = wanted if hard == unlimited else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft != unlimited and soft < in_parallel + _OTHERS:
        raise UsageError(
            f"--num-samples-in-parallel {in_parallel}: only {soft} open files are allowed here (`ulimit -Hn`):"
            f" give at most {max(1, soft - _OTHERS)}, or raise that limit"
        )
