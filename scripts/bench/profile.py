"""Part profile: where the collector's CPU goes, function by function, in microseconds a rollout."""

from __future__ import annotations

import os
import pstats
from pathlib import Path

from bench.clients import run_client

__all__ = ["print_profile"]

_TOP = 45


def print_profile(folder: Path, rollouts: int, in_flight: int) -> None:
    """Runs the collector once under cProfile and prints what took longest in itself, then what with all it called.

    cProfile counts the event loop's thread alone, and makes small Python functions look dearer than they are: use the
    order and the call counts, not the sums.
    """
    figures = folder / "profile"
    os.environ["PROFILE"] = str(figures)
    try:
        run_client("pairmill", folder, rollouts, in_flight)
    finally:
        del os.environ["PROFILE"]
    stats = pstats.Stats(str(figures)).stats  # type: ignore[attr-defined] # typeshed does not know it
    for column, title in ((2, "itself"), (3, "with what it calls")):
        print(f"\n{'us/rollout':>10} {'calls':>6}  {title}, {rollouts} rollouts, {in_flight} in flight")
        for where, entry in sorted(stats.items(), key=lambda item: -item[1][column])[:_TOP]:
            print(f"{entry[column] * 1e6 / rollouts:10.2f} {entry[1] / rollouts:6.2f}  {_name(*where)}")


def _name(file: str, line: int, function: str) -> str:
    if file == "~":
        return function
    return f"{'/'.join(Path(file).parts[-3:])}:{line} {function}"
