"""`json_schema`: the reply is JSON that matches a schema, the same for every row or each row's own.

A schema's patterns meet hostile text, and a few keywords are slow on long lists: so the matching is done in worker
processes that can be killed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from collector.errors import VerifierError
from collector.protocols.server_text import one_line
from collector.records.rows import PromptRow, Reply, Task, Verdict
from collector.settings import CollectSettings
from collector.verifiers.fields import bad_field, find_field, kind_of, problem_in
from collector.verifiers.pooled import POOL_PARAMETERS, PooledVerifier, pool_from
from collector.verifiers.spec import Parameters, read_parameters
from collector.verifiers.workers.pool import WorkerPool

__all__ = ["JsonSchemaVerifier", "build_json_schema"]

_FIELD = "json_schema"
_EXTRACT = ("whole", "fenced", "last")


class JsonSchemaVerifier(PooledVerifier):
    """1 when the reply's JSON matches the schema, `partial` when it is JSON and does not, else 0.

    `schema` (JSON text) serves every row; without one each row brings its own under `field`. Components: `parses` and
    `valid`; `json_problem` says what was wrong.
    """

    name = "json_schema"

    def __init__(
        self,
        pool: WorkerPool,
        schema: str | None = None,
        *,
        field: str = _FIELD,
        extract: str = "whole",
        partial: float = 0.0,
        formats: bool = False,
    ) -> None:
        super().__init__(pool)
        self.code_digest = None if schema is None else hashlib.sha256(schema.encode()).hexdigest()
        self._schema = schema
        self._field = field
        self._partial = partial
        self._options = {"extract": extract, "formats": formats}

    async def verify(self, task: Task, reply: Reply) -> Verdict:
        """Raises VerifierError when the row lacks its schema or it is none, and when the matching takes too much time
        or memory."""
        schema = self._schema or self._row_schema(task.row)
        answer = await self._ask(task, {"schema": schema, "text": reply.text, **self._options})
        if "bad_schema" in answer:
            raise self._no_schema(task.row, answer["bad_schema"])
        parses, valid = bool(answer["parses"]), bool(answer["valid"])
        problem = answer["problem"] and one_line(answer["problem"])
        return Verdict(
            1.0 if valid else self._partial * parses,
            {"parses": float(parses), "valid": float(valid)},
            {"json_problem": problem},
        )

    def check(self, row: PromptRow) -> str | None:
        return problem_in(row, self._checked_schema) if self._schema is None else None

    def _checked_schema(self, row: PromptRow) -> None:
        problem = _schema_check()(self._row_schema(row))
        if problem:
            raise self._no_schema(row, problem)

    def _row_schema(self, row: PromptRow) -> str:
        """The row's schema as JSON text: of its field, or else of its own request."""
        try:
            value = _parsed(find_field(row, self._field, instead="schema=FILE"))
        except VerifierError:
            value = _requested_schema(row) if self._field == _FIELD else None
            if value is None:
                raise
        if isinstance(value, dict) and isinstance(value.get("schema"), dict):
            value = value["schema"]  # OpenAI's {"name": ..., "strict": ..., "schema": {...}}
        if not isinstance(value, dict):
            raise self._no_schema(row, f"{kind_of(value)}; an object is needed")
        try:
            return orjson.dumps(value).decode()
        except TypeError as error:
            raise self._no_schema(row, str(error)) from None

    def _no_schema(self, row: PromptRow, why: str) -> VerifierError:
        return bad_field(row, self._field, f"is no schema: {one_line(why)}")


def build_json_schema(rest: str, settings: CollectSettings) -> JsonSchemaVerifier:
    """From `json_schema[:schema=PATH,field=...,extract=...,partial=...,formats=...,timeout=...,workers=...]`.

    Raises VerifierSetupError, also for a schema file that cannot be read or is no schema.
    """
    accepted = ("schema", "field", "extract", "partial", "formats", *POOL_PARAMETERS)
    given = read_parameters("json_schema", rest, accepted)
    if given.given("schema") and given.given("field"):
        raise given.error("schema", "give a file, or the field that holds each row's own, not both")
    partial = given.number("partial", 0.0)
    if partial > 1:
        raise given.error("partial", "give a number from 0 to 1")
    return JsonSchemaVerifier(
        pool_from(given, "schema_job.py"),
        _file_schema(given) if given.given("schema") else None,
        field=given.text("field", _FIELD),
        extract=given.choice("extract", _EXTRACT),
        partial=partial,
        formats=given.flag("formats", False),
    )


def _file_schema(given: Parameters) -> str:
    path = Path(given.text("schema", "")).expanduser()
    try:
        schema = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise given.error("schema", f"the schema cannot be read: {one_line(str(error))}") from None
    if not isinstance(schema, dict):
        raise given.error("schema", f"it holds {kind_of(schema)}; a schema is an object")
    try:
        text = orjson.dumps(schema).decode()
        problem = _schema_check()(text)
    except TypeError as error:
        problem = str(error)
    if problem:
        raise given.error("schema", f"it is no schema: {one_line(problem)}")
    return text


def _requested_schema(row: PromptRow) -> Any:
    """The schema that the row's own request asks the server to keep to, in Chat's or in Responses' words; or None."""
    for holder, name in ((row.params.get("response_format"), "json_schema"), (row.params.get("text"), "format")):
        wanted = holder.get(name) if isinstance(holder, dict) else None
        if isinstance(wanted, dict) and isinstance(wanted.get("schema"), dict):
            return wanted["schema"]
    return None


def _parsed(value: Any) -> Any:
    """A field may hold the schema as text, as NeMo Gym's `schema_str` does."""
    if not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def _schema_check() -> Callable[[str], str | None]:
    """Loaded when it is asked for: few runs need jsonschema."""
    from collector.verifiers.workers.schema_job import schema_problem

    return schema_problem
