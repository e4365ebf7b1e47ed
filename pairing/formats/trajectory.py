"""Where two trajectories of several turns part: what both sides begin with, and the call ids by which they say it.

Pure functions on plain turns (`turns.plain_turn`). Which targets want the shared turns in the prompt is `fitting`'s
business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from collector.records.rows import Message

__all__ = ["other_names", "renamed", "shared_turns"]

_ENDS = ("user", "tool")


def shared_turns(chosen: Sequence[Message], rejected: Sequence[Message]) -> int:
    """How many turns of both sides can stand in the prompt: those before the first that differs, up to a place where a
    prompt may end.

    Such a place lies behind a turn of the user or a tool and before an assistant's turn on both sides, and no result
    after it belongs to a call before it. Calls that differ in their ids alone are the same, and so are their results.
    """
    names: dict[str, str] = {}
    waiting: dict[str, str] = {}  # calls that have no result yet, by both sides' ids
    last_results = [_last_results(side) for side in (chosen, rejected)]
    turns = 0
    for place, (one, other) in enumerate(zip(chosen[:-1], rejected[:-1], strict=False)):
        if not _same(one, other, names):
            break
        if "tool_calls" in one:
            names |= _call_ids(one, other)
            waiting.update(zip(_ids(one), _ids(other), strict=True))
        elif one["role"] == "tool":
            waiting.pop(one.get("tool_call_id", ""), None)
        follow = (chosen[place + 1]["role"], rejected[place + 1]["role"])
        if one["role"] in _ENDS and follow == ("assistant", "assistant") and not _awaited(waiting, last_results, place):
            turns = place + 1
    return turns


def other_names(chosen: Sequence[Message], rejected: Sequence[Message]) -> dict[str, str]:
    """The chosen side's call id for each of the rejected side's, of turns that are shared. An id of the chosen side
    that means another call on the rejected one gets an id that is free there, so that calls with ids of their own keep
    them apart.
    """
    names: dict[str, str] = {}
    for one, other in zip(chosen, rejected, strict=True):
        if "tool_calls" in one:
            names |= _call_ids(one, other)
    standing = dict.fromkeys(names.values())
    freed = [name for name in names if name not in standing]
    taken = [name for name in standing if name not in names]
    names |= dict(zip(taken, freed, strict=False))
    return {old: new for old, new in names.items() if old != new}


def renamed(messages: Sequence[Message], names: Mapping[str, str]) -> list[Message]:
    """The messages with these call ids in place of their own; the ones given stay as they are."""
    return [_renamed(message, names) for message in messages] if names else list(messages)


def _same(one: Message, other: Message, names: Mapping[str, str]) -> bool:
    if one.keys() != other.keys():
        return False
    for key, mine in one.items():
        theirs = other[key]
        if key == "tool_call_id":
            theirs = names.get(theirs, theirs)
        elif key == "tool_calls":
            mine, theirs = _functions(mine), _functions(theirs)
        if mine != theirs:
            return False
    return True


def _functions(calls: Sequence[Any]) -> list[Any]:
    """What is called with what: a plain turn's calls without their ids."""
    return [call["function"] for call in calls]


def _call_ids(one: Message, other: Message) -> dict[str, str]:
    """The ids of two turns' calls, the other's to the one's; calls without an id are left out."""
    return {theirs: mine for mine, theirs in zip(_ids(one), _ids(other), strict=True) if mine and theirs}


def _ids(message: Message) -> list[Any]:
    return [call["id"] for call in message["tool_calls"]]


def _last_results(side: Sequence[Message]) -> dict[str, int]:
    """Where the last result of each call id stands."""
    return {m["tool_call_id"]: place for place, m in enumerate(side) if m["role"] == "tool" and "tool_call_id" in m}


def _awaited(waiting: Mapping[str, str], last: Sequence[Mapping[str, int]], place: int) -> bool:
    """True when a result behind `place` belongs to a call that waits."""
    return any(last[0].get(mine, -1) > place or last[1].get(theirs, -1) > place for mine, theirs in waiting.items())


def _renamed(message: Message, names: Mapping[str, str]) -> Message:
    changed: Message = {}
    if calls := message.get("tool_calls"):
        changed["tool_calls"] = [call | {"id": names.get(call["id"], call["id"])} for call in calls]
    if own := message.get("tool_call_id"):
        changed["tool_call_id"] = names.get(own, own)
    return message | changed
