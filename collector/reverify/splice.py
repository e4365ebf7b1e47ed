"""A row's bytes with a new verdict in them: the members that a verdict owns change, every other byte stays.

A row is cut into its members (`"name": value`, with the white space around them) at the top level alone. Members that
stay are put back as they were, so numbers, escapes and spaces of whoever wrote the row survive.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import orjson

from collector.errors import VerifierError
from collector.records.rollouts import REPLY_FIELDS, RESERVED
from collector.records.rows import Verdict

__all__ = ["PREVIOUS_FIELDS", "PREVIOUS_REWARD", "Member", "members_of", "rescored"]

PREVIOUS_REWARD = "previous_reward"
PREVIOUS_FIELDS = "previous_fields"
"""Where the reward, and every other value that a new verdict replaces, goes: the last one's, not the ones before."""

_KEY = re.compile(rb'[ \t\r\n]*"(?:[^"\\]|\\.)*"[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_SPACE = re.compile(rb"[ \t\r\n]*")
_OF_A_VERDICT = frozenset({"reward_components", "vetoed_by", "mask_sample"})
"""Members that speak of the old verdict alone, besides its marks of failure: they go when the new one lacks them."""
_MARKS = frozenset({PREVIOUS_REWARD, PREVIOUS_FIELDS, "_incomplete"})
"""Members that are made anew, or that spoke of the file the row stood in."""
_INDICES = ("_ng_task_index", "_ng_rollout_index")
_NUMBER = re.compile(rb"-?\d[\d.eE+-]*")
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Member(NamedTuple):
    """One member of an object: its name, and its bytes before, in and after the value."""

    name: str
    before: bytes
    value: bytes
    after: bytes = b""


def members_of(line: bytes) -> list[Member]:
    """The members of the object that `line` is, in their order. Put together again, with commas between, they are the
    line. Of members that share a name only the last is kept, as every reader does it.

    Raises msgspec.DecodeError for what is no JSON object.
    """
    line = line.strip()
    values = _decode(line)
    members: list[Member] = []
    place = 1
    for name, raw in values.items():
        value = bytes(raw)
        key = _KEY.match(line, place)
        start = key.end() if key else place
        end = start + len(value)
        after = _SPACE.match(line, end)
        stop = after.end() if after else end
        if key is None or line[start:end] != value or line[stop : stop + 1] not in (b",", b"}"):
            return _plain_members(values)
        members.append(Member(name, line[place:start], value, line[end:stop]))
        place = stop + 1
    return members if place == len(line) or not members else _plain_members(values)


def rescored(line: bytes, verdict: Verdict, key: tuple[int, int] | None = None) -> bytes:
    """The row with `verdict` in the place of its old one, as one line with its newline.

    The reward that it had goes to `previous_reward`, every other value that changes or goes to `previous_fields`.
    `key`, where given, is added as the row's two indices. Raises VerifierError when the verdict holds what cannot be
    written.
    """
    members = members_of(line)
    old = {member.name: member.value for member in members}
    new = _of_verdict(verdict, old)
    gone = {name for name in old if name not in new and _is_of_old_verdict(name)}
    kept = [
        member._replace(value=new.pop(member.name, member.value))
        for member in members
        if member.name not in gone and member.name not in _MARKS
    ]
    if key is not None:
        new |= {name: b"%d" % index for name, index in zip(_INDICES, key, strict=True)}
    now = {member.name: member.value for member in kept}
    new |= _previous({name: old[name] for name in (*now, *gone) if name in old and old[name] != now.get(name)}, old)
    kept.extend(Member(name, orjson.dumps(name) + b":", value) for name, value in new.items())
    return b"{" + b",".join(b"".join(member[1:]) for member in kept) + b"}\n"


def _of_verdict(verdict: Verdict, old: Mapping[str, bytes]) -> dict[str, bytes]:
    """The members that a verdict makes. As in a new rollout, a field whose name is taken goes to `reply_fields`: one
    that the stream needs, or one that the row showed there before."""
    new = {"reward": _json(_finite(verdict.reward, "reward"))}
    if verdict.components:
        parts = {name: _finite(part, f"component {name!r}") for name, part in verdict.components.items()}
        new["reward_components"] = _json(parts)
    aside = orjson.loads(old.get(REPLY_FIELDS, b"{}"))
    aside = aside if isinstance(aside, dict) else {}
    displaced = {name: value for name, value in verdict.fields.items() if name in RESERVED or name in aside}
    new |= {name: _json(value) for name, value in verdict.fields.items() if name not in displaced}
    if displaced:
        new[REPLY_FIELDS] = _json({**aside, **displaced})
    return new


def _previous(replaced: dict[str, bytes], old: Mapping[str, bytes]) -> dict[str, bytes]:
    previous: dict[str, bytes] = {}
    if _NUMBER.fullmatch(old.get("reward", b"")):
        replaced.pop("reward", None)
        previous[PREVIOUS_REWARD] = old["reward"]  # also when it is the same: a column that is there can be compared
    replaced = {name: value for name, value in replaced.items() if value != b"null"}
    if replaced:
        parts = (orjson.dumps(name) + b":" + value for name, value in replaced.items())
        previous[PREVIOUS_FIELDS] = b"{" + b",".join(parts) + b"}"
    return previous


def _is_of_old_verdict(name: str) -> bool:
    return name in _OF_A_VERDICT or name.startswith("_ng_failure")


def _plain_members(values: Mapping[str, msgspec.Raw]) -> list[Member]:
    """The members of an object whose bytes cannot be told apart: names that stand twice."""
    return [Member(name, orjson.dumps(name) + b":", bytes(raw)) for name, raw in values.items()]


def _json(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except TypeError as error:
        raise VerifierError(f"the verdict cannot be written as JSON: {error}", failure_class="bad_field") from None


def _finite(value: object, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise VerifierError(f"{what} is {value!r}; a finite number is needed", failure_class="bad_reward")
    return float(value)
