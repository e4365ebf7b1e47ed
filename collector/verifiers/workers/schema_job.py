"""The job of `json_schema`: is there JSON in a text, and does it match a schema? Nothing is ever fetched.

`schema_problem` is also what the run itself asks before it starts.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import orjson
import referencing.exceptions
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from jsonschema_specifications import REGISTRY
from referencing import Resource
from referencing.jsonschema import DRAFT202012

__all__ = ["answer", "find_json", "schema_problem"]

_FENCE = re.compile(r"^[ \t]*+```([^\n`]*+)$\n?", re.MULTILINE)
_OBJECT = re.compile(r'\{\s*["}]')
_REFERENCES = ("$ref", "$dynamicRef")
_SHOWN = 300


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """{"parses", "valid", "problem"} for {"schema": JSON text, "text", "extract", "formats"}; {"bad_schema": why} when
    the schema is none."""
    wrong = schema_problem(request["schema"])
    if wrong:
        return {"bad_schema": wrong}
    try:
        value = orjson.loads(find_json(request["text"], request["extract"]))
    except orjson.JSONDecodeError as error:
        return {"parses": False, "valid": False, "problem": f"no JSON: {error}"[:_SHOWN]}
    first = next(iter(_validator(request["schema"], request["formats"]).iter_errors(value)), None)
    problem = first and f"{first.json_path}: {first.message}"[:_SHOWN]
    return {"parses": True, "valid": first is None, "problem": problem}


@functools.lru_cache(maxsize=1024)
def schema_problem(schema_text: str) -> str | None:
    """Why the JSON text is no usable schema: not valid by its own draft, a pattern that does not compile, a reference
    to something outside of it. None when it is one."""
    schema = json.loads(schema_text)
    if not isinstance(schema.get("$schema", ""), str):
        return "$schema: is no text"
    kind = _kind(schema)
    try:
        kind.check_schema(schema)
        resource: Resource[Any] = Resource.from_contents(schema, default_specification=DRAFT202012)
        resolver = REGISTRY.with_resource("", resource).crawl().resolver()
        return _problem_in(resource, resolver)
    except SchemaError as error:
        return f"{error.json_path}: {error.message}"
    except RecursionError:
        return "it is nested too deep"


def find_json(text: str, extract: str) -> str:
    """The part of a reply that should be JSON: the `whole`, the last `fenced` block (the whole where there is none),
    or the `last` object in it ("" where there is none)."""
    if extract == "last":
        return _last_object(text)
    if extract == "fenced":
        return _last_block(text)
    return text


@functools.lru_cache(maxsize=1024)
def _validator(schema_text: str, formats: bool) -> Validator:
    schema = json.loads(schema_text)
    kind = _kind(schema)
    # jsonschema's own registry fetches what it does not know; this one knows the drafts and nothing else.
    validator: Validator = kind(schema, registry=REGISTRY, format_checker=kind.FORMAT_CHECKER if formats else None)
    return validator


def _kind(schema: Any) -> Any:
    """The draft that the schema names with `$schema`, 2020-12 when it names none."""
    return validator_for(schema, default=Draft202012Validator)


def _problem_in(resource: Resource[Any], resolver: Any) -> str | None:
    contents = resource.contents
    if not isinstance(contents, dict):
        return None
    problem = _bad_reference(contents, resolver)
    if problem:
        return problem
    for part in resource.subresources():
        problem = _problem_in(part, resolver.in_subresource(part))
        if problem:
            return problem
    return None


def _bad_reference(contents: dict[str, Any], resolver: Any) -> str | None:
    for name in _REFERENCES:
        target = contents.get(name)
        try:
            if isinstance(target, str):
                resolver.lookup(target)
        except (referencing.exceptions.Unresolvable, ValueError):
            return f"{name} {target}: it stands nowhere in the schema, and nothing is fetched"
    return None


def _last_block(text: str) -> str:
    """What stands in the last block between fences, in one pass; the whole text where none is closed."""
    found, start = text, None
    for fence in _FENCE.finditer(text):
        if start is None:
            start = fence.end()
        elif not fence[1].strip():  # a word behind it opens a block, and cannot close one
            found, start = text[start : fence.start()], None
    return found


class _Unnumbered(str):
    """A text whose decoding errors do not count its lines: done for each broken object, that is quadratic."""

    __slots__ = ()

    def count(self, *_: object) -> int:
        return 0

    def rfind(self, *_: object) -> int:
        return -1


def _last_object(text: str) -> str:
    """The last object that is whole and stands in no other, in one pass: where decoding stops, the search goes on, so
    that pieces of a broken object are not taken for answers."""
    decoder = json.JSONDecoder(parse_float=_skip, parse_int=_skip, parse_constant=_skip)
    text, found = _Unnumbered(text), ""
    start = _OBJECT.search(text)
    while start:
        at = start.start()
        try:
            _, end = decoder.raw_decode(text, at)
            found = text[at:end]
        except json.JSONDecodeError as error:
            end = error.pos
        except RecursionError:
            return ""
        start = _OBJECT.search(text, max(end, at + 1))
    return found


def _skip(_: str) -> int:
    """Numbers are looked at when the object is read: until then a million digits cost nothing."""
    return 0
