"""What a measured process runs: `child REPORT WORK [arguments]`. It leaves its peak of memory, and what its work has to
report, in the file REPORT as JSON; its CPU is taken by whoever started it.

WORK is `pairmill`, the real command; `aiohttp` or `httpx`, a bare loop (`loops`); `scan` or `seal`, one step over a
file of rollouts (`steps`). `PROFILE` in the environment names a file for `sampler`'s figures.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def main() -> None:
    """Does the work that the command line names."""
    report, work, *arguments = sys.argv[1:]
    profile = os.environ.get("PROFILE")
    if profile:
        from bench.sampler import sampled

        extra = sampled(lambda: _works()[work](arguments), Path(profile))
    else:
        extra = _works()[work](arguments)
    Path(report).write_text(json.dumps({"peak_kb": _peak_kb(), **extra}), encoding="utf-8")


def _works() -> dict[str, Callable[[list[str]], dict[str, Any]]]:
    return {"pairmill": _pairmill, "aiohttp": _bare, "httpx": _bare, "scan": _step, "seal": _step}


def _pairmill(arguments: list[str]) -> dict[str, Any]:
    from pairing.cli import main as command

    sys.argv = ["pairmill", *arguments]
    code = command()
    if code:
        sys.exit(code)
    return {}


def _bare(arguments: list[str]) -> dict[str, Any]:
    from bench import loops

    loops.run(sys.argv[2], *arguments)
    return {}


def _step(arguments: list[str]) -> dict[str, Any]:
    from bench import steps

    return {"step_cpu": steps.run(sys.argv[2], *arguments)}


def _peak_kb() -> int:
    """The most memory that was resident. Not `ru_maxrss`: that one begins at the size of the process that forked."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0])


if __name__ == "__main__":
    main()
