"""Whole groups where each agent has its own number of repeats: what the rows themselves tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pairing.follow.open_groups import IsWhole

__all__ = ["whole_by_agent"]

_DEFAULT = "_default"


class _Agent(msgspec.Struct, gc=False):
    name: str | None = None


class _Row(msgspec.Struct, gc=False):
    agent_ref: _Agent | None = None


_decode = msgspec.json.Decoder(_Row).decode


def whole_by_agent(settings: Mapping[str, Any]) -> IsWhole | None:
    """The rule of a run with these settings (of its run file); None when all prompts have one number of repeats."""
    repeats: Mapping[str, int] | None = settings.get("repeats_by_agent")
    if not repeats:
        return None

    def is_whole(lines: Sequence[bytes | memoryview]) -> bool:
        try:
            agent = _decode(lines[0]).agent_ref
        except msgspec.DecodeError:  # the end of the run will tell
            return False
        name = (agent and agent.name) or settings.get("agent_name") or _DEFAULT
        return len(lines) == repeats.get(name, repeats.get(_DEFAULT))

    return is_whole
