"""The benchmark's input: rollouts as the collector writes them, 6 KB each, 4 to a prompt, in task order or shuffled."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import orjson

from collector.records.identity import derive_seed, prompt_id_of
from collector.records.rollouts import Attempt, encode_rollout
from collector.records.rows import PromptRow, Reply, Task, Usage, Verdict

__all__ = ["REPEATS", "ROW_BYTES", "shuffle_rows", "write_rows"]

REPEATS = 4
ROW_BYTES = 6_000
_PROMPT_CHARS = 900
_POOL_CHARS = 1 << 20
_REWARDS = (0.0, 0.25, 0.5, 0.75, 1.0)
_TEXT = (
    "the sum of these two numbers is even because every term divides by three so we add them and get a value that "
    "does not depend on the order in which you count first note next therefore hence let us check it with a small "
    "example where the rest vanishes and only one factor remains which proves what was asked for in this step"
)
_WORDS = _TEXT.split()


def write_rows(path: Path, size: int, seed: int = 0) -> int:
    """Writes whole groups until the file holds at least `size` bytes; returns how many rows. The same seed gives the
    same bytes."""
    rng = random.Random(seed)
    plain, accented = _pool(rng, "=x+y, "), _pool(rng, " ≤ é × ")
    rows = written = 0
    with path.open("wb", buffering=1 << 20) as file:
        task_index = 0
        while written < size:
            for line in _group(task_index, rng, accented if task_index % 8 == 0 else plain):
                written += file.write(line)
                rows += 1
            task_index += 1
    return rows


def shuffle_rows(source: Path, target: Path, seed: int = 0) -> None:
    """The lines of `source` in a random order, one at a time, so that it needs little memory."""
    places, offset = [], 0
    with source.open("rb") as lines:
        for line in lines:
            places.append((offset, len(line)))
            offset += len(line)
        random.Random(seed).shuffle(places)
        with target.open("wb", buffering=1 << 20) as file:
            for offset, length in places:
                lines.seek(offset)
                file.write(lines.read(length))


def _pool(rng: random.Random, between: str) -> str:
    """Text that reads like worked mathematics: lines, some quotes, some LaTeX."""
    parts, length = [], 0
    while length < _POOL_CHARS:
        words = " ".join(rng.choices(_WORDS, k=rng.randint(8, 16)))
        kind = rng.randrange(12)
        formula = r" $\frac{a}{b}$" if kind == 0 else f' "case {rng.randrange(9)}"' if kind == 1 else between
        parts.append(f"{words}{formula}{rng.randrange(1000)}.\n")
        length += len(parts[-1])
    return "".join(parts)


def _group(task_index: int, rng: random.Random, pool: str) -> list[bytes]:
    question = f"Problem {task_index}: {_slice(rng, pool, _PROMPT_CHARS)}"
    messages = [{"role": "user", "content": question}]
    row = PromptRow(
        task_index=task_index,
        line=task_index + 1,
        fields={"id": f"train-{task_index}", "expected_answer": str(task_index % 97)},
        input=messages,
        messages=messages,
        text=question,
        params={},
        prompt_id=prompt_id_of(messages),
    )
    params: dict[str, Any] = {"temperature": 0.8, "max_output_tokens": 2048}
    return [_rollout(row, rollout_index, params, rng, pool) for rollout_index in range(REPEATS)]


def _rollout(row: PromptRow, rollout_index: int, params: dict[str, Any], rng: random.Random, pool: str) -> bytes:
    # The answer stands in a row twice, in the reply as it came and as Chat messages.
    room = (ROW_BYTES - _PROMPT_CHARS - 1_000) // 2
    reward = rng.choice(_REWARDS)
    text = f"{_slice(rng, pool, int(room * rng.uniform(0.7, 1.3)))}\nAnswer: {rng.randrange(97)}"
    seed = derive_seed(0, row.prompt_id, row.task_index, rollout_index)
    tokens = len(text) // 4
    reply = Reply(
        raw=_reply(text, seed, tokens),
        output=[{"role": "assistant", "content": text}],
        text=text,
        finish_reason="length" if rng.random() < 0.03 else "stop",
        usage=Usage(230, tokens),
    )
    task = Task(row=row, rollout_index=rollout_index, params=params, seed=seed)
    attempt = Attempt(number=1, endpoint="http://127.0.0.1:8000/v1", queued=0.000_2, latency=2 + rng.random())
    return encode_rollout(task, reply, Verdict(reward, components={"correct": reward}), attempt)


def _reply(text: str, seed: int, tokens: int) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "tool_calls": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop", "stop_reason": None}
    reply = {
        "id": f"chatcmpl-{seed:032x}",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": "served-model",
        "choices": [choice],
        "usage": {"prompt_tokens": 230, "completion_tokens": tokens, "total_tokens": 230 + tokens},
    }
    return orjson.dumps(reply)


def _slice(rng: random.Random, pool: str, length: int) -> str:
    start = rng.randrange(len(pool) - length)
    return pool[start : start + length]
