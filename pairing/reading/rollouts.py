"""One line of a rollouts file -> a Rollout, with its big parts left as the bytes they are.

Reads our own rows and NeMo Gym's (`response.output`, no `output`, any kind of reward). Of a row's fields only those
named here are looked at, and texts stay undecoded until someone asks for them. What the answer says is the business
of `messages`; which rollouts belong together that of `groups`.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Annotated, Any

import msgspec
import orjson
from msgspec import Raw

__all__ = [
    "CUT",
    "IN_THE_FILE",
    "SHORT",
    "BrokenLine",
    "Index",
    "Rollout",
    "Row",
    "decode_row",
    "dumps",
    "failed",
    "has_answer",
    "loads",
    "present",
    "prompt_raw",
    "read_reward",
    "tools_raw",
]

Index = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
"""What task and rollout indices may be."""
SHORT = 5
"""Bytes: a field of one less may be null."""
_ABSENT = Raw()
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_NON_FINITE = frozenset({b"nan", b"inf", b"infinity"})


class BrokenLine(Exception):  # noqa: N818 - a fact about a line, counted and reported; never ends a command
    """A line that is no JSON object in UTF-8; the message says why."""


IN_THE_FILE = {
    "task_index": "_ng_task_index",
    "rollout_index": "_ng_rollout_index",
    "failure_class": "_ng_failure_class",
    "params": "responses_create_params",
}
"""What the fields of a row that have another name here are called there."""


class _Params(msgspec.Struct, gc=False):
    """`responses_create_params`: the prompt's parts, and how hot the answers were sampled."""

    input: Raw = _ABSENT
    instructions: Raw = _ABSENT
    tools: Raw = _ABSENT
    temperature: Raw = _ABSENT


class _Response(msgspec.Struct, gc=False):
    """`response`: NeMo Gym's answer and how it ended."""

    output: Raw = _ABSENT
    status: Raw = _ABSENT
    incomplete_details: Raw = _ABSENT
    error: Raw = _ABSENT


class Row(
    msgspec.Struct,
    gc=False,
    rename=IN_THE_FILE,
):
    """The fields of a rollout row that pairing reads. A Raw is the field's own JSON bytes, empty when it is absent."""

    task_index: Index | None = None
    rollout_index: Index | None = None
    prompt_id: str | None = None
    reward: Raw = _ABSENT
    finish_reason: str | None = None
    failure_class: str | None = None
    params: _Params | None = None
    response: _Response | None = None
    output: Raw = _ABSENT
    messages: Raw = _ABSENT
    prompt: Raw = _ABSENT
    tools: Raw = _ABSENT


class Rollout(msgspec.Struct, gc=False, eq=False):
    """One scored (or unscored) answer to one prompt.

    `rollout_index` is None until a group gives an index to a row that came without one. `reward` is finite or None,
    and when None `reward_fault` says why, in a stable name. `path` and `offset` (bytes) say where the row stands,
    `line` is all of it, as it stands there: `row` refers to the same bytes.
    """

    row: Row
    path: Path
    offset: int
    line: bytes | memoryview
    prompt_id: str
    rollout_index: int | None
    reward: float | None
    reward_fault: str | None
    messages: list[dict[str, Any]] | None = None
    """The answer as Chat messages, once `messages.answer` was asked for it."""
    mended: bool = False
    """True when the answer's own bytes are not JSON to every reader: write `messages` in their place."""
    looked: bool = False
    """True once `messages.plain_answer` has looked whether the answer is one plain message."""
    plain: bytes | None = None
    text: str = ""
    """When it is: its bytes as the row has them, and its text."""

    @property
    def complete(self) -> bool:
        """True when the attempt ended with an answer and a usable reward: such an attempt replaces an earlier one."""
        return self.reward is not None and not failed(self.row)

    @property
    def temperature(self) -> float | None:
        """The temperature the answer was asked for with; None when the row does not say."""
        params = self.row.params
        return None if params is None else read_reward(params.temperature)[0]

    @property
    def truncated(self) -> bool:
        """True when the answer hit its token limit: Chat's `length`, or Responses' `incomplete`."""
        if self.row.finish_reason is not None:
            return self.row.finish_reason in CUT
        response = self.row.response
        if response is None:
            return False
        return bytes(response.status) == b'"incomplete"' or present(response.incomplete_details)


CUT = frozenset({"length", "incomplete", "max_tokens", "max_output_tokens"})
"""Finish reasons of an answer that hit its token limit."""
_decode = msgspec.json.Decoder(Row).decode


def decode_row(line: bytes | memoryview, ascii_only: bool = False) -> Row:
    """The row of one line; `ascii_only` when the caller knows that it is. Python's NaN and Infinity, and fields of odd
    types, are mended on a slower path: the first become strings, the second count as absent. The row's parts refer to
    `line`, which must not change. Raises BrokenLine when no object can be had."""
    try:
        if not ascii_only:
            str(line, "utf-8")  # fields that are only passed over are not decoded: nothing else looks at their bytes
        return _decode(line)
    except (msgspec.MsgspecError, RecursionError):
        return _mended(bytes(line))
    except UnicodeDecodeError as error:
        raise BrokenLine(f"not UTF-8: byte {error.start}") from None


def loads(raw: Raw) -> Any:
    """A field's value. An escaped half of a surrogate pair, JSON to Python and to few others, becomes U+FFFD.

    Raises BrokenLine for what no reader takes (a whole number of thousands of digits), RecursionError for nesting
    without end: `decode_row` looks at no field closer than it must, so this may come late.
    """
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        try:
            text = json.dumps(json.loads(bytes(raw), parse_float=_finite), ensure_ascii=False)
        except ValueError as error:
            raise BrokenLine(f"not JSON: {error}") from None
        return json.loads(_SURROGATE.sub("\ufffd", text))


def dumps(value: Any) -> bytes:
    """JSON of a decoded value, whole numbers beyond 64 bits and deep nesting too."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def read_reward(raw: Raw) -> tuple[float | None, str | None]:
    """(finite reward, None), or (None, the reason that there is none). A boolean or a string is never guessed into a
    number: 1 and "1" and true mean different things to different verifiers. -0 is 0."""
    text = bytes(raw)
    if not text or text == b"null":
        return None, "no_reward"
    if text[0] in b"-0123456789":
        value = float(text) + 0.0
        return (value, None) if math.isfinite(value) else (None, "reward_not_finite")
    if text in (b"true", b"false"):
        return None, "reward_bool"
    if text[:1] != b'"':
        return None, "reward_not_number"
    return None, "reward_not_finite" if text[1:-1].lstrip(b"+-").lower() in _NON_FINITE else "reward_string"


def present(raw: Raw) -> bool:
    """True when the field is there and not null."""
    return len(raw) > 4 or (len(raw) > 0 and bytes(raw) != b"null")  # a Raw equals no bytes; copy short ones only


def has_answer(row: Row) -> bool:
    """True when the row holds an answer, ours (`output`) or NeMo Gym's (`response.output`)."""
    return present(row.output) or (row.response is not None and present(row.response.output))


def failed(row: Row) -> bool:
    """True when the row is marked as a failure: NeMo Gym writes reward 0.0 beside `_ng_failure_class` when a judge
    broke down, and that is no verdict."""
    if row.failure_class:
        return True
    response = row.response
    if response is None or not (len(response.status) or len(response.error)):
        return False
    return bytes(response.status) in (b'"failed"', b'"cancelled"') or present(response.error)


def prompt_raw(row: Row) -> Raw:
    """The prompt as the row has it: `responses_create_params.input`, else `messages`, else `prompt`; may be empty."""
    if row.params is not None and present(row.params.input):
        return row.params.input
    return row.messages if present(row.messages) else row.prompt


def tools_raw(row: Row) -> Raw:
    """The tools the model was offered: `responses_create_params.tools`, else `tools`; may be empty."""
    return row.params.tools if row.params is not None and present(row.params.tools) else row.tools


def _mended(line: bytes) -> Row:
    try:
        found = json.loads(line, parse_constant=str, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise BrokenLine(f"not UTF-8: byte {error.start}") from None
    except (ValueError, RecursionError) as error:
        raise BrokenLine(f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise BrokenLine(f"a JSON {_KINDS.get(type(found), 'number')}, not an object")
    kept = {name: value for name in _FIELDS if (value := found.get(name)) is not None and _fits(name, value)}
    text = _SURROGATE.sub("\ufffd", json.dumps(kept, ensure_ascii=False))
    return _decode(text.encode())


def _finite(text: str) -> float | str:
    """A number too great for a float becomes the word for it, as Python's bare Infinity does."""
    value = float(text)
    return value if math.isfinite(value) else str(value)


_KINDS = {list: "list", str: "string", bool: "boolean", type(None): "null"}
_FIELDS = tuple(field.encode_name for field in msgspec.structs.fields(Row))
_TYPES: dict[str, type] = {
    "_ng_task_index": int,
    "_ng_rollout_index": int,
    "prompt_id": str,
    "finish_reason": str,
    "_ng_failure_class": str,
    "responses_create_params": dict,
    "response": dict,
}


def _fits(name: str, value: object) -> bool:
    wanted = _TYPES.get(name, object)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 2**62
    return isinstance(value, wanted)
