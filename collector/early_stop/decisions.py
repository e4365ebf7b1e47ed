"""The decisions file: one line for each prompt, why it stopped and after how many samples. It replaces the one before
at once, and can be made again at any time: all that it says follows from the rollouts and the settings."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import orjson

from collector.early_stop.ledger import Ledger
from collector.journal.copying import NextFile
from collector.journal.disk import Disk, reporting

__all__ = ["write_decisions"]

_BUFFER = 1 << 20


def write_decisions(path: Path, ledger: Ledger, disk: Disk) -> None:
    """Lines in task order; durable when it returns. Blocks. Raises OutputError."""
    with reporting(path, "the rollouts are safe: make room, then run again with --resume"):
        target = NextFile(path, disk)
        try:
            for task in range(ledger.prompts):
                target.write(orjson.dumps(_decision(ledger, task)) + b"\n")
            target.finish()
            target.publish()
        finally:
            target.close()


def _decision(ledger: Ledger, task: int) -> dict[str, Any]:
    """`failed` samples have no reward; `best` and `worst` are null where there is no such answer (see `Standing`)."""
    standing, size = ledger.standing(task), ledger.asked(task)
    return {
        "_ng_task_index": task,
        "rollouts": size,
        "of": ledger.most,
        "stopped": ledger.stopped(task),
        "failed": size - standing.rows,
        "best": _finite(standing.best),
        "worst": _finite(standing.worst),
    }


def _finite(reward: float) -> float | None:
    return reward if math.isfinite(reward) else None
