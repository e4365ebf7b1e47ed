"""The rows of the stream, as bytes: a rollout, and a failed attempt. The contract stands in docs/stream.md."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from collector.errors import ReplyError, VerifierError
from collector.records.requests import adds_nothing
from collector.records.rows import JsonObject, Reply, Task, Verdict
from collector.records.splice import Spliced, once_per_row, split_at

__all__ = ["REPLY_FIELDS", "RESERVED", "SOURCE_FIELDS", "Attempt", "encode_failure", "encode_rollout"]

SOURCE_FIELDS = "source_fields"
"""Where a source row's field goes when its name is one that the stream needs: nothing of the source is lost."""

REPLY_FIELDS = "reply_fields"
"""Where a verifier's or agent's field goes when its name is taken."""

RESERVED = frozenset(
    {
        "_ng_task_index",
        "_ng_rollout_index",
        "prompt_id",
        "responses_create_params",
        "response",
        "output",
        "reward",
        "reward_components",
        "finish_reason",
        "usage",
        "shared_usage",
        "seed",
        "attempt",
        "timing",
        "endpoint",
        "flags",
        "previous_reward",
        "previous_fields",
        SOURCE_FIELDS,
        REPLY_FIELDS,
    }
)
"""Names the stream gives a meaning of its own at the top level of a rollout."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """How a reply was come by. `number` counts from 1; times are in seconds: `queued` from the task's start to its
    request's, `latency` from the request to the whole reply."""

    number: int
    endpoint: str
    queued: float
    latency: float


def encode_rollout(
    task: Task, reply: Reply, verdict: Verdict | None, attempt: Attempt, flags: Sequence[str] = ()
) -> bytes:
    """One line of rollouts.jsonl, newline included. The server's reply is spliced in as it came, not re-encoded.
    `flags` are further ones, of what only the run can see; they follow the reply's own.

    Raises VerifierError when the reward or a component is no finite number: JSON has no NaN, and orjson would write
    null for it. Raises ReplyError when the reply holds what can be read but not written: orjson reads 1024 levels of
    nesting and writes 254.
    """
    row: JsonObject = {"output": reply.output}
    if verdict is not None:
        row["reward"] = _finite(verdict.reward, "reward")
        if verdict.components:
            row["reward_components"] = {k: _finite(v, f"component {k!r}") for k, v in verdict.components.items()}
    row["finish_reason"] = reply.finish_reason
    _add_usage(row, reply)
    row["seed"] = task.seed
    row["attempt"] = attempt.number
    row["timing"] = {"queued": round(attempt.queued, 6), "latency": round(attempt.latency, 6)}
    row["endpoint"] = attempt.endpoint
    if reply.flags or flags:
        row["flags"] = [*reply.flags, *flags]
    try:
        head = once_per_row(task, "rollout", lambda: _head(task))
        if verdict is not None and verdict.fields:
            _add_fields(row, verdict.fields, task)
        if reply.fields:
            _add_fields(row, reply.fields, task)
        tail = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError as error:
        problem = f"the reply cannot be written as a row: {error}"
        raise ReplyError(problem, failure_class="wrong_shape") from error
    return b"".join((head.before, b"%d" % task.rollout_index, head.after, reply.raw, b",", memoryview(tail)[1:]))


def encode_failure(
    task: Task,
    *,
    failure_class: str,
    message: str,
    status: int | None,
    attempt: int,
    endpoint: str,
    final: bool,
    response: bytes | None = None,
) -> bytes:
    """One line of rollouts_failures.jsonl: one failed attempt. `final` says that no further attempt was made.

    `response` is the server's reply, raw, where there was one that only the verifier failed on: it cost tokens.
    `_ng_failure_class` and `_ng_failure_terminal` repeat the class and `final` under NeMo Gym's names.
    """
    row: JsonObject = {
        "_ng_task_index": task.row.task_index,
        "_ng_rollout_index": task.rollout_index,
        "prompt_id": task.row.prompt_id,
        "line": task.row.line,
        "failure_class": failure_class,
        "message": message,
        "status": status,
        "attempt": attempt,
        "final": final,
        "endpoint": endpoint,
        "_ng_failure_class": failure_class,
        "_ng_failure_terminal": final,
    }
    if response is not None:
        row["response"] = orjson.Fragment(response)
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def _head(task: Task) -> Spliced:
    """The start of a rollout up to its `response`, around the rollout index: the same for all repeats of a row."""
    parts = split_at(_head_fields(task), "_ng_rollout_index")
    return Spliced(parts.before, parts.after[:-1] + b',"response":')


def _head_fields(task: Task) -> JsonObject:
    """What a rollout says before its `response`. The source row's own fields stand there under their names; those under
    a reserved name move into `source_fields`, save the request itself."""
    head: JsonObject = {
        "_ng_task_index": task.row.task_index,
        "_ng_rollout_index": task.rollout_index,
        "prompt_id": task.row.prompt_id,
    }
    moved: JsonObject = {}
    for name, value in task.row.fields.items():
        if name != "responses_create_params":
            (moved if name in RESERVED else head)[name] = value
    if moved:
        head[SOURCE_FIELDS] = moved
    head["responses_create_params"] = {"input": task.row.input, **task.params}
    return head


def _add_fields(row: JsonObject, fields: Mapping[str, Any], task: Task) -> None:
    """A verifier's or agent's own fields; those whose name is taken, by another value, go to `reply_fields`."""
    source = task.row.fields
    for name, value in fields.items():
        if name == "responses_create_params" and adds_nothing(value, {"input": task.row.input, **task.params}):
            continue
        if name not in row and name not in source and name not in RESERVED:
            row[name] = value
            continue
        there = row if name in row else _head_fields(task)
        if name not in there or there[name] != value:
            row.setdefault(REPLY_FIELDS, {}).setdefault(name, value)


def _finite(value: object, what: str) -> float:
    if type(value) is float and math.isfinite(value):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise VerifierError(f"{what} is {value!r}; a finite number is needed", failure_class="bad_reward")
    return float(value)


def _add_usage(row: JsonObject, reply: Reply) -> None:
    """Token counts. Those of a request with several samples are of all together: no part of them is this row's."""
    usage: JsonObject | None = None
    if reply.usage is not None:
        given = reply.usage
        usage = {
            "input_tokens": given.input_tokens,
            "output_tokens": given.output_tokens,
            "total_tokens": given.input_tokens + given.output_tokens,
        }
    if reply.samples == 1:
        row["usage"] = usage
        return
    row["usage"] = None
    if usage is not None:
        row["shared_usage"] = {**usage, "samples": reply.samples}
