"""The input of a run: prompts of about 700 bytes, each its own, so that a request is about 1 KB."""

from __future__ import annotations

import json
from pathlib import Path

from bench.replies import ANSWER

__all__ = ["REPEATS", "write_prompts"]

REPEATS = 4

_SYSTEM = "You solve puzzles. Think step by step, and end with one sentence that gives the answer."
_STORY = (
    "A clerk keeps {number} ledgers on a shelf of seven boards. Each morning she takes the ledger with the highest "
    "number away, copies its last page into the next one, and puts it back two boards lower; on the lowest board she "
    "leaves it where it is. Visitors may borrow a ledger for a day, but never two of them from the same board. On the "
    "ninth day the inspector comes and asks how many of them could have been borrowed at once, and which board was the "
    'first to hold none. He adds: "count the lowest board twice, since it is the longest."\n\n'
    "What does she tell him?"
)


def write_prompts(path: Path, rollouts: int) -> None:
    """Rows for `rollouts` rollouts, `REPEATS` of each prompt."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(rollouts // REPEATS):
            messages = [
                {"role": "system", "content": _SYSTEM},
                {"role": "user", "content": _STORY.format(number=number)},
            ]
            row = {"responses_create_params": {"input": messages}, "expected_answer": ANSWER, "puzzle": number}
            file.write(json.dumps(row) + "\n")
