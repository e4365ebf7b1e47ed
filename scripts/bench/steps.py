"""Single steps over a file of rollouts, for a process of their own: the scan of a resume, and the seal."""

from __future__ import annotations

import time
from pathlib import Path

from bench.prompts import REPEATS
from collector.journal.keys import KeySet
from collector.journal.paths import StreamPaths
from collector.journal.scan import scan_keys
from collector.journal.seal import seal

__all__ = ["run"]


def run(step: str, path: str, rows: str) -> float:
    """CPU seconds of `scan` or `seal` over `path`, which holds `rows` rollouts; the imports are not counted."""
    began = time.process_time()
    found = _scan(Path(path)) if step == "scan" else seal(StreamPaths.for_output(Path(path)), REPEATS).rows
    used = time.process_time() - began
    if found != int(rows):
        raise SystemExit(f"{step}: {found} rollouts found, {rows} are there")
    return used


def _scan(path: Path) -> int:
    keys = KeySet(REPEATS)
    scan_keys(path, keys)
    return len(keys)
