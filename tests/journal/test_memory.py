"""Sealing needs no more memory for more rows."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journal.helpers import row

_SEAL = """
import resource, sys
from collector.journal import StreamPaths
from collector.journal.seal import seal
assert seal(StreamPaths.for_output(sys.argv[1]), 4).rows == int(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _peak_kilobytes(path: Path, rows: int) -> int:
    """Peak RSS of a process that seals `rows` small rows, shuffled in windows as concurrent requests shuffle them."""
    rng = random.Random(rows)
    with path.open("wb") as file:
        for start in range(0, rows, 1000):
            keys = [divmod(place, 4) for place in range(start, min(start + 1000, rows))]
            rng.shuffle(keys)
            file.write(b"".join(row(*key) for key in keys))
    command = [sys.executable, "-c", _SEAL, str(path), str(rows)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux only")
def test_ten_times_the_rows_need_no_more_memory(tmp_path: Path) -> None:
    """Peak RSS at 200,000 rows against 20,000: a list or dict of rows would add tens of megabytes."""
    few = _peak_kilobytes(tmp_path / "few.jsonl", 20_000)
    many = _peak_kilobytes(tmp_path / "many.jsonl", 200_000)
    assert many < 1.15 * few
