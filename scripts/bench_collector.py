"""Measures the collector against a replay server: what a rollout costs, load, memory, start-up, resume.

Each client runs in a process of its own, so that its CPU (user and system) and its peak of memory are its alone. CPU
rather than elapsed time: a busy machine hardly changes it. Prints a table and ends with one JSON line. See
docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.clients import run_client
from bench.cost import measure_cost
from bench.findings import Findings, as_markdown, as_text
from bench.load import measure_load
from bench.memory import measure_memory
from bench.processes import Failed
from bench.profile import print_profile
from bench.prompts import REPEATS
from bench.resume import measure_resume
from bench.sizes import SIZES, Sizes
from bench.startup import measure_start

PARTS: dict[str, Callable[[Sizes, Path], Findings]] = {
    "cost": measure_cost,
    "load": measure_load,
    "memory": measure_memory,
    "start": measure_start,
    "resume": measure_resume,
}


def main() -> int:
    """Runs the parts that were asked for; 1 when a client failed, 130 when it was told to stop."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = _options()
    sizes = SIZES[options.size]
    with tempfile.TemporaryDirectory(prefix="bench-collector-", dir=options.folder) as folder:
        try:
            run_client("pairmill", Path(folder), REPEATS, 1)  # from here on its bytecode is there
            if options.profile:
                print_profile(Path(folder), sizes.cost_rollouts, sizes.cost_levels[0])
            else:
                _measure(options.only or list(PARTS), sizes, Path(folder), options)
        except Failed as error:
            print(f"bench_collector: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", choices=SIZES, default="usual", help="how much to measure (default usual)")
    parser.add_argument("--quick", dest="size", action="store_const", const="quick", help="in a minute or two")
    parser.add_argument("--full", dest="size", action="store_const", const="full", help="with runs of 1,000,000 rows")
    parser.add_argument("--only", action="append", choices=PARTS, metavar="PART", help=f"one of {', '.join(PARTS)}")
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown, at the end")
    parser.add_argument("--profile", action="store_true", help="instead: the collector's dearest lines and functions")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where the runs write (default: the system's)")
    return parser.parse_args()


def _measure(parts: list[str], sizes: Sizes, folder: Path, options: argparse.Namespace) -> None:
    all_found: list[Findings] = []
    for part in parts:
        found = PARTS[part](sizes, folder)
        all_found.append(found)
        print(as_text(found), flush=True)
    if options.markdown:
        print(f"\n{as_markdown(all_found)}\n")
    summary = {
        "size": options.size,
        "parts": {found.part: found.data for found in all_found},
        "missed": [figure.what for found in all_found for figure in found.figures if figure.met is False],
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    print(json.dumps(summary))


if __name__ == "__main__":
    sys.exit(main())
