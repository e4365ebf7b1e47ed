"""Where two trajectories of several turns part: what both sides begin with, and the call ids by which they say it.

Pure functions on plain turns (`turns.plain_turn`). Which targets want the shared turns in the prompt is `fitting`'s
business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    waiting: dict[str, str] = {}
    last_results = [_last_results(side) for side in (chosen, rejected)]
    turns = 0
    for place, (one, other) in enumerate(zip(chosen[:-1], rejected[:-1], strict=False)):
        if not _same(one, other, names):
            break
        _follow_calls(one, other, waiting)
        names |= _call_ids(one, other)
        follow = (chosen[place + 1]["role"], rejected[place + 1]["role"])
        if one["role"] in _ENDS and follow == ("assistant", "assistant") and not _awaited(waiting, last_results, place):
            turns = place + 1
    return turns


def other_names(chosen: Sequence[Message], rejected: Sequence[Message]) -> dict[str, str]:
    """The chosen side's call id for each of the rejected side's, of turns that are shared. An id of the chosen side
    that means another call on the rejected one gets an id that is free there, so that no two calls come to share one.
    """
    names: dict[str, str] = {}
    for one, other in zip(chosen, rejected, strict=False):
        names |= _call_ids(one, other)
    freed = [name for name in names if name not in names.values()]
    taken = [name for name in dict.fromkeys(names.values()) if name not in names]
    names |= dict(zip(taken, freed, strict=False))
    return {old: new for old, new in names.items() if old != new}


def renamed(messages: Sequence[Message], names: Mapping[str, str]) -> list[Message]:
    """The messages with these call ids in place of their own; the ones given stay as they are."""
    return [_renamed(message, names) for message in messages] if names else list(messages)


def _same(one: Message, other: Message, names: Mapping[str, str]) -> bool:
    mine, theirs = (message.get("tool_call_id") for message in (one, other))
    return mine == (names.get(theirs, theirs) if theirs else theirs) and _without_ids(one) == _without_ids(other)


def _without_ids(message: Message) -> Message:
    said = {key: value for key, value in message.items() if key != "tool_call_id"}
    if calls := said.get("tool_calls"):
        said["tool_calls"] = [{key: value for key, value in call.items() if key != "id"} for call in calls]
    return said


def _call_ids(one: Message, other: Message) -> dict[str, str]:
    """The ids of two turns' calls, the other's to the one's; calls without an id are left out."""
    pairs = zip(_ids(one), _ids(other), strict=False)
    return {theirs: mine for mine, theirs in pairs if mine and theirs}


def _ids(message: Message) -> Iterator[Any]:
    return (call["id"] for call in message.get("tool_calls", ()))


def _follow_calls(one: Message, other: Message, waiting: dict[str, str]) -> None:
    """Keeps in `waiting` the calls that have no result yet, by both sides' ids."""
    waiting.update(zip(_ids(one), _ids(other), strict=False))
    if one["role"] == "tool":
        waiting.pop(one.get("tool_call_id", ""), None)


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
