"""Lets a process of the benchmark hold as many connections as the system allows."""

from __future__ import annotations

import resource

__all__ = ["raise_open_files"]


def raise_open_files() -> None:
    """Raises this process's own limit of open files to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
