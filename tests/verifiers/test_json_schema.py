"""`json_schema`: the real jsonschema, on replies and schemas good and bad."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from collector.errors import VerifierError, VerifierSetupError
from collector.prompts import read_rows
from collector.verifiers.workers.schema_job import find_json
from tests.verifiers.make import build, judge, make_reply, make_row, make_task

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"$ref": "#/$defs/age"}},
    "required": ["name"],
    "$defs": {"age": {"type": "integer", "minimum": 0}},
}
GOOD = '{"name": "Ada", "age": 36}'

EXTRACTED = [
    ("whole", GOOD, 1.0),
    ("whole", f" \n{GOOD}\n", 1.0),
    ("whole", f"Here: {GOOD}", 0.0),
    ("whole", f"```json\n{GOOD}\n```", 0.0),
    ("fenced", f"Sure!\n```json\n{GOOD}\n```\nThat is it.", 1.0),
    ("fenced", f"```\n{{}}\n```\n```json\n{GOOD}\n```", 1.0),
    ("fenced", f"```json\n{GOOD}\n```\n```\n{{}}\n```", 0.0),
    ("fenced", GOOD, 1.0),
    ("last", f"First {{}}, then {GOOD} {{see above}}.", 1.0),
    ("last", f"{GOOD} and {{}}", 0.0),
    ("last", f'{{"people": [{GOOD}, ', 0.0),
    ("last", f"Let S = {{x}}. {GOOD}", 1.0),
    ("last", "no JSON at all", 0.0),
    ("last", "", 0.0),
    ("whole", '{"name": "Ada", "age": -1}', 0.0),
    ("whole", '{"name": "Ada", "age": NaN}', 0.0),
    ("whole", '{"name": "A\x00da"}', 0.0),
    ("whole", "[" * 1_000_000, 0.0),
    ("last", "{" * 1_000_000, 0.0),
    ("last", '{"x' * 100_000, 0.0),
    ("last", '{"a":' * 200_000, 0.0),
    ("last", '{"a":' + "9" * 100_000 + "}", 0.0),
    ("fenced", "```\n" * 100_000, 0.0),
    ("fenced", "``` x\n" * 100_000, 0.0),
    ("fenced", f"```json\r\n{GOOD}\r\n```\r\n", 1.0),
    ("fenced", f"```json\n{GOOD}\n```\n```json\n{{", 1.0),
    ("fenced", f"```json\n{GOOD}", 0.0),
    ("whole", '{"name": "\ud800"}', 0.0),
]


@pytest.mark.parametrize("extract", ["whole", "fenced", "last"])
async def test_replies_are_matched(extract: str) -> None:
    """The reward for a reply, by where its JSON is looked for; hostile text is no JSON and no hang."""
    cases = [(text, reward) for how, text, reward in EXTRACTED if how == extract]
    async with build(f"json_schema:workers=1,timeout=20,extract={extract}") as verifier:
        for text, reward in cases:
            verdict = await verifier.verify(make_task({"json_schema": PERSON}), make_reply(text))
            assert (text[:80], verdict.reward) == (text[:80], reward)


async def test_parsing_and_matching_are_components() -> None:
    """Both stand beside the reward with what was wrong; JSON that does not match is worth `partial`, 0 by default."""
    row = {"json_schema": PERSON}
    verdict = await judge("json_schema", row, '{"name": 3}')
    assert (verdict.reward, verdict.components) == (0.0, {"parses": 1.0, "valid": 0.0})
    assert verdict.fields == {"json_problem": "$.name: 3 is not of type 'string'"}
    assert (await judge("json_schema:partial=0.2", row, '{"name": 3}')).reward == 0.2
    assert (await judge("json_schema:partial=0.2", row, "{")).reward == 0.0
    right = await judge("json_schema:partial=0.2", row, GOOD)
    assert (right.reward, right.components) == (1.0, {"parses": 1.0, "valid": 1.0})
    assert right.fields == {"json_problem": None}


ASKED = {"name": "person", "strict": True, "schema": PERSON}


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ("json_schema", {"json_schema": PERSON}),
        ("json_schema", {"json_schema": json.dumps(PERSON)}),
        ("json_schema", {"json_schema": ASKED}),
        ("json_schema", {"verifier_metadata": {"json_schema": PERSON}}),
        ("json_schema:field=schema_str", {"schema_str": json.dumps(PERSON)}),
        ("json_schema", {"response_format": {"type": "json_schema", "json_schema": ASKED}}),
        (
            "json_schema",
            {"responses_create_params": {"input": "x", "text": {"format": {"type": "json_schema", **ASKED}}}},
        ),
    ],
)
async def test_a_row_may_bring_its_schema_in_several_forms(spec: str, fields: dict[str, Any], tmp_path: Path) -> None:
    """A schema, its text, OpenAI's object around it, or the row's own request for structured output."""
    (tmp_path / "in.jsonl").write_text(
        json.dumps({"prompt": "x", **fields}) if "input" not in str(fields) else json.dumps(fields)
    )
    row = next(read_rows(tmp_path / "in.jsonl"))
    verifier = build(spec)
    assert verifier.check(row) is None
    task = make_task({})
    async with verifier:
        for text, reward in ((GOOD, 1.0), ("{}", 0.0)):
            assert (await verifier.verify(type(task)(row, 0, {}, None), make_reply(text))).reward == reward


BAD_SCHEMAS: list[tuple[Any, str]] = [
    ({"type": "no such type"}, "$.type: 'no such type' is not valid under any of the given schemas"),
    ({"$ref": "https://example.com/schema.json"}, "$ref https://example.com/schema.json: it stands nowhere"),
    ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "$ref #/$defs/none: it stands nowhere in the schema"),
    ({"$ref": "file:///etc/passwd"}, "$ref file:///etc/passwd: it stands nowhere"),
    ({"properties": {"a": {"pattern": "("}}}, "$.properties.a.pattern: '(' is not a 'regex'"),
    ({"patternProperties": {"[": {}}}, "$.patternProperties: '[' is not a 'regex'"),
    ({"$schema": []}, "$schema: is no text"),
    ({"$schema": 5}, "$schema: is no text"),
    ({"properties": {"a": {"$schema": [], "$id": "x"}}}, "$.properties.a"),
    (3, "a number; an object is needed"),
    ("not a schema", "text; an object is needed"),
    (True, "a boolean; an object is needed"),
]


@pytest.mark.parametrize(("schema", "message"), BAD_SCHEMAS)
async def test_a_bad_schema_is_found_before_the_run(schema: Any, message: str, tmp_path: Path) -> None:
    """A schema that is none, in a row or in a file: nothing is fetched, and the line says what is wrong."""
    with pytest.raises(VerifierError, match=r"line 7: the field 'json_schema' is no schema: .*") as raised:
        await judge("json_schema", {"json_schema": schema}, "{}")
    assert message in str(raised.value)
    assert build("json_schema").check(make_row({"json_schema": schema})) == str(raised.value).removeprefix("line 7: ")
    path = tmp_path / "schema.json"
    path.write_text(json.dumps(schema))
    with pytest.raises(VerifierSetupError, match=re.escape(f"json_schema: schema={path}: it ")):
        build(f"json_schema:schema={path}")


async def test_one_schema_may_serve_every_row(tmp_path: Path) -> None:
    """`schema=PATH` needs nothing of the rows; other drafts, references by $id and recursion work."""
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "https://example.com/tree",
        "type": "object",
        "properties": {"children": {"type": "array", "items": {"$ref": "https://example.com/tree"}}},
        "additionalProperties": False,
    }
    (tmp_path / "tree.json").write_text(json.dumps(schema))
    spec = f"json_schema:schema={tmp_path / 'tree.json'}"
    assert build(spec).check(make_row({})) is None
    assert (await judge(spec, {}, '{"children": [{"children": []}]}')).reward == 1.0
    assert (await judge(spec, {}, '{"children": [{"child": []}]}')).reward == 0.0


async def test_formats_are_checked_when_asked_for() -> None:
    """`format` is a note, as the drafts have it, until `formats` makes it count."""
    row = {"json_schema": {"properties": {"day": {"format": "date"}}}}
    assert (await judge("json_schema", row, '{"day": "soon"}')).reward == 1.0
    assert (await judge("json_schema:formats", row, '{"day": "soon"}')).reward == 0.0
    assert (await judge("json_schema:formats", row, '{"day": "2026-02-28"}')).reward == 1.0


async def test_a_pattern_that_backtracks_for_ever_is_stopped() -> None:
    """A hostile reply to a weak pattern costs its own row and nothing else."""
    row = {"json_schema": {"properties": {"s": {"pattern": "^(a+)+$"}}}}
    async with build("json_schema:workers=1,timeout=0.5") as verifier:
        with pytest.raises(VerifierError, match="line 7: .*seconds of CPU time") as raised:
            await verifier.verify(make_task(row), make_reply(json.dumps({"s": "a" * 60 + "!"})))
        assert raised.value.failure_class == "verifier_timeout"
        assert (await verifier.verify(make_task(row), make_reply('{"s": "aa"}'))).reward == 1.0


async def test_a_nest_too_deep_to_follow_is_a_failure() -> None:
    """A recursive schema on a reply of a thousand levels: nobody can tell, so there is no reward."""
    row = {"json_schema": {"properties": {"a": {"$ref": "#"}}, "type": "object"}}
    with pytest.raises(VerifierError, match="line 7: .*") as raised:
        await judge("json_schema", row, '{"a":' * 900 + "{}" + "}" * 900)
    assert raised.value.failure_class == "verifier_crash"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("json_schema:schema=/no/such/file.json", "schema=/no/such/file.json: the schema cannot be read: [Errno 2]"),
        ("json_schema:schema=a,field=b", "give a file, or the field that holds each row's own, not both"),
        ("json_schema:extract=some", "extract=some: give one of whole, fenced, last"),
        ("json_schema:partial=2", "partial=2: give a number from 0 to 1"),
        ("json_schema:workers=0", "workers=0: give a number, more than 0"),
    ],
)
def test_a_wrong_specification_is_said_at_start(spec: str, message: str) -> None:
    """Each mistake is one line."""
    with pytest.raises(VerifierSetupError, match=re.escape(message)):
        build(spec)


def test_pieces_of_a_broken_object_are_no_answer() -> None:
    """The last object is one that stands for itself: not a part of another, and not of one that was cut."""
    assert find_json('{"a": {"b": 1}}', "last") == '{"a": {"b": 1}}'
    assert find_json('{"a": {"b": 1}, ', "last") == ""
    assert find_json('x {"a": 1} y {"b": {"c": 2}} z {', "last") == '{"b": {"c": 2}}'


def test_the_file_of_a_schema_counts_as_code(tmp_path: Path) -> None:
    """A resume can tell that another schema stands under the same name; what rows bring is the input's."""
    path = tmp_path / "schema.json"
    digests = []
    for schema in ({"type": "object"}, {"type": "string"}):
        path.write_text(json.dumps(schema), encoding="utf-8")
        digests.append(build(f"json_schema:schema={path}").code_digest)
    assert None not in digests
    assert digests[0] != digests[1]
    assert build("json_schema").code_digest is None
