"""Part profile: where the collector's CPU goes, in microseconds a rollout."""

from __future__ import annotations

import json
import os
from pathlib import Path

from bench.clients import run_client

__all__ = ["print_profile"]

_TOP = 50
_TITLES = {"itself": "the line itself", "with_callees": "the function, with all that it calls"}


def print_profile(folder: Path, rollouts: int, in_flight: int) -> None:
    """Runs the collector once under `sampler` and prints the dearest lines, then the dearest functions."""
    report = folder / "profile"
    os.environ["PROFILE"] = str(report)
    try:
        run_client("pairmill", folder, rollouts, in_flight)
    finally:
        del os.environ["PROFILE"]
    found = json.loads(report.read_bytes())
    for column, title in _TITLES.items():
        print(f"\nus a rollout  {title}; {rollouts:,} rollouts, {in_flight} in flight")
        dearest = sorted(found[column].items(), key=lambda item: -item[1])[:_TOP]
        print("\n".join(f"{micros / rollouts:12.1f}  {name}" for name, micros in dearest))
