"""Measures the pairing stage on rollouts of 6 KB, beside the reference recipe, orjson, polars and duckdb.

Each method runs in a process of its own, so that its CPU (user and system) and its peak of memory are its alone. CPU
rather than elapsed time: a busy machine changes it less. Prints a table and ends with one JSON line. See
docs/pairing-speed.md.
"""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
import tempfile
from pathlib import Path

from bench.processes import Failed, Usage
from bench_pairing_parts.child import METHODS
from bench_pairing_parts.measure import HEAD, Input, Measured, cells, measured, run, run_twice_at_once
from bench_pairing_parts.rows import ROW_BYTES, shuffle_rows, write_rows

from pairing.reading.compression import compress


def main() -> int:
    """Runs the methods that were asked for; 1 when one failed, 130 when it was told to stop."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options = _options()
    with tempfile.TemporaryDirectory(prefix="bench-pairing-", dir=options.folder) as folder:
        try:
            _measure(options, Path(folder))
        except Failed as error:
            print(f"bench_pairing: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", type=_bytes, default="100MB", help="of the input, as 1GB (default 100MB)")
    parser.add_argument("--rounds", type=int, default=3, help="of each method; the best counts (default 3)")
    parser.add_argument(
        "--only", action="append", choices=METHODS, metavar="METHOD", help=f"one of {', '.join(METHODS)}"
    )
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="where it works (default: the system's); 4 x the size"
    )
    return parser.parse_args()


def _bytes(text: str) -> int:
    for suffix, factor in (("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if text.upper().endswith(suffix):
            return int(float(text[: -len(suffix)]) * factor)
    return int(text)


def _measure(options: argparse.Namespace, folder: Path) -> None:
    path = folder / "rollouts.jsonl"
    rows = write_rows(path, options.size)
    grouped = Input(path, path.stat().st_size, rows)
    inputs = {method: _input_for(method, grouped, folder) for method in options.only or METHODS}
    used: dict[str, list[Usage]] = {method: [] for method in inputs}
    twins: list[float] = []
    for number in range(1, options.rounds + 1):  # in turns: a machine that changes meanwhile changes all of them
        for method, given in inputs.items():
            used[method].append(run(method, given, folder))
            if not options.markdown:
                print(f"round {number}: {method}: {used[method][-1].cpu:.2f} s of CPU", flush=True)
        if {"trl", "workers"} <= inputs.keys():
            twins.append(run_twice_at_once("trl", grouped, folder))
    results = [measured(method, given, used[method]) for method, given in inputs.items()]
    if options.markdown:
        print(_markdown(results))
    else:
        print("\n" + "\n".join(_line(row) for row in [HEAD, *cells(results)]))
    summary = _summary(results, grouped, min(twins, default=None))
    if twins:
        print(
            f"\ntwo workers: {summary['workers_wall_ratio']} times as fast as one process; two processes that know"
            f" nothing of each other: {summary['twins_wall_ratio']} times"
        )
    print(json.dumps(summary))


def _input_for(method: str, grouped: Input, folder: Path) -> Input:
    """The file that the method reads, made when it is first wanted."""
    if method == "shuffled":
        path = folder / "shuffled.jsonl"
        shuffle_rows(grouped.path, path)
    elif method == "zst":
        path = folder / "packed.jsonl.zst"
        with grouped.path.open("rb") as source:
            compress(source, path, ".zst")
    else:
        return grouped
    return Input(path, grouped.size, grouped.rows)


def _line(row: tuple[str, ...]) -> str:
    first, *others = row
    return f"{first:<18}" + "".join(f"{cell:>18}" for cell in others)


def _markdown(results: list[Measured]) -> str:
    rows = [HEAD, ("---", *("---:" for _ in HEAD[1:])), *cells(results)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _summary(results: list[Measured], grouped: Input, twins: float | None) -> dict[str, object]:
    by_name = {each.method: each for each in results}
    ours, two = by_name.get("trl"), by_name.get("workers")
    return {
        "bytes": grouped.size,
        "rows": grouped.rows,
        "row_bytes": ROW_BYTES,
        "methods": {each.method: each.as_json() for each in results},
        # What two processes would take on two cores that are free, and what they took on this machine.
        "workers_cpu_ratio": round(two.best / ours.best, 3) if ours and two else None,
        "workers_wall_ratio": round(ours.wall / two.wall, 3) if ours and two else None,
        # What any two processes gain over one here.
        "twins_wall_ratio": round(2 * ours.wall / twins, 3) if ours and twins else None,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }


if __name__ == "__main__":
    sys.exit(main())
