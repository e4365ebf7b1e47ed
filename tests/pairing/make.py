"""Rows for the tests: ours, as the collector writes them, and NeMo Gym's; and files of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from collector.records.identity import prompt_id_of
from collector.records.messages import prompt_messages

Row = dict[str, Any]


class _Absent:
    """Its name is the same in every process: it stands in the names of tests."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()


def our_row(task: int, rollout: int, reward: Any = 0.0, text: str | None = None, **fields: Any) -> Row:
    """A row of our stream; `reward=ABSENT` leaves it out, other fields replace or add."""
    prompt = fields.pop("prompt_text", f"Question {task}?")
    answer = f"answer {rollout} to {task}" if text is None else text
    params: Row = {"input": [{"role": "user", "content": prompt}], "temperature": 0.8}
    row: Row = {
        "_ng_task_index": task,
        "_ng_rollout_index": rollout,
        "prompt_id": prompt_id_of(prompt_messages(params["input"])),
        "responses_create_params": params,
        "response": {"id": f"c-{task}-{rollout}", "choices": [{"message": {"role": "assistant", "content": answer}}]},
        "output": [{"role": "assistant", "content": answer}],
        "finish_reason": "stop",
    }
    if reward is not ABSENT:
        row["reward"] = reward
    return row | fields


def gym_row(task: int | None, rollout: int | None, reward: Any = 0.0, text: str = "yes", **fields: Any) -> Row:
    """A row as NeMo Gym writes it: null-padded parameters, the answer in `response.output`, no prompt id."""
    prompt = fields.pop("prompt_text", f"Question {task}?")
    content = [{"type": "output_text", "text": text, "annotations": []}]
    message = {"id": f"msg_{rollout}", "type": "message", "role": "assistant", "content": content}
    row: Row = {
        "responses_create_params": {
            "input": [{"role": "user", "content": prompt, "type": "message"}],
            "temperature": None,
            "instructions": None,
            "tools": [],
        },
        "response": {"status": "completed", "error": None, "incomplete_details": None, "output": [message]},
    }
    if reward is not ABSENT:
        row["reward"] = reward
    if task is not None:
        row["_ng_task_index"] = task
    if rollout is not None:
        row["_ng_rollout_index"] = rollout
    return row | fields


def lines_of(rows: Iterable[Row]) -> list[str]:
    return [json.dumps(row) for row in rows]


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def write_rows(path: Path, *rows: Row) -> Path:
    return write_lines(path, lines_of(rows))


def read_rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]
