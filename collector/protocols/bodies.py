"""The bytes of a request's body; what the repeats of a prompt have in common is encoded once."""

from __future__ import annotations

from collections.abc import Callable

import orjson

from collector.errors import RequestError
from collector.records.rows import JsonObject, Task
from collector.records.splice import once_per_row, split_at
from collector.settings import CollectSettings

__all__ = ["encode_body", "request_frame", "seeded_body"]


def request_frame(task: Task, settings: CollectSettings, params: JsonObject, samples: int = 1) -> JsonObject:
    """A body without its prompt: the model, the parameters, the seed, the samples wanted. The settings' model wins over
    the row's."""
    model = settings.model or task.params.get("model")
    body: JsonObject = {"model": model} if model else {}
    body.update(params)
    if task.seed is not None:
        body["seed"] = task.seed
    if samples > 1:
        body["n"] = samples
    body["stream"] = False
    return body


def seeded_body(task: Task, settings: CollectSettings, name: str, make: Callable[[], JsonObject]) -> bytes:
    """The bytes of the body that `make` gives, with the settings' `extra_body` (which names no seed) put in last. It is
    made once for all repeats of a row: between them only the seed changes. `name` tells a row's bodies apart.

    Raises RequestError as `encode_body` does.
    """

    def whole() -> JsonObject:
        return {**make(), **settings.extra_body}

    if task.seed is None:
        return encode_body(whole(), task)
    try:
        parts = once_per_row(task, name, lambda: split_at(whole(), "seed"), settings)
    except TypeError as error:
        raise _not_writable(task, error) from error
    return b"%b%d%b" % (parts.before, task.seed, parts.after)


def encode_body(body: JsonObject, task: Task) -> bytes:
    """The body's bytes. Raises RequestError when it holds what JSON cannot carry (a lone surrogate, say)."""
    try:
        return orjson.dumps(body)
    except TypeError as error:
        raise _not_writable(task, error) from error


def _not_writable(task: Task, error: TypeError) -> RequestError:
    problem = f"input line {task.row.line}: the request cannot be written as JSON: {error}"
    return RequestError(problem, failure_class="bad_prompt", retryable=False)
