"""One method of the benchmark, in a process of its own.

    python -m bench_pairing_parts.child METHOD INPUT OUTPUT REPORT

The report is JSON: the pairs that were written, and the most memory that was resident, in kB (of this process, and of
the largest of its workers).
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

__all__ = ["METHODS"]

METHODS = (
    "trl",
    "recipe",
    "shuffled",
    "zst",
    "workers",
    "reference",
    "reference-orjson",
    "polars",
    "duckdb",
)
"""In the order in which they are shown: ours, then the others."""


def main(method: str, source: Path, output: Path, report: Path) -> None:
    if method in ("trl", "recipe", "shuffled", "zst", "workers"):
        pairs = _ours(source, output, "recipe" if method == "recipe" else "trl", 2 if method == "workers" else 1)
    else:
        from bench_pairing_parts import rivals

        pairs = rivals.METHODS[method](source, output)
    workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    report.write_text(json.dumps({"pairs": pairs, "peak_kb": _peak_kb(), "worker_peak_kb": workers}), encoding="utf-8")


def _ours(source: Path, output: Path, format: str, workers: int) -> int:
    from pairing import build_pairs

    return build_pairs(source, output, format=format, workers=workers).pairs


def _peak_kb() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
