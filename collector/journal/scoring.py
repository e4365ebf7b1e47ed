"""What of a verifier's specification decides its rewards: a run may go on with another of the same.

How long it is waited for, by how many at once, with which key, and the port of its server are no part of that; nor is
the whole address of a judge or reward model whose `model=` is named, as with the model itself. A server without a named
model stays at its host: nothing else is known of it. Pure text: whether a specification is a good one is not asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["SPECIFICATIONS", "asked_otherwise", "what_scores"]

SPECIFICATIONS = {"verifier": "--verifier", "vetoes": "--veto"}
"""The settings that hold specifications (a text, a list of texts, or nothing), and their flags."""
_HOW = frozenset({"api_key_env", "parallel", "threads", "timeout", "workers"})
_NAMED = ("judge", "reward_model")
"""Those that are asked for a model by its name."""
_SPEC = re.compile(r"((?:[^:*=]*\*)?(?:[a-z][a-z0-9_]*=)?\s*)([a-z_]+)(?::(.*))?", re.DOTALL)
_PARAMETER = re.compile(r"\s*([a-z_]+)\s*(?:=.*)?", re.DOTALL)
_ADDRESS = re.compile(r"(?<=url=)[a-z]+://[^/,]*")
_PORT = re.compile(r"(\Ahttps?://[^/]*?):\d+(?=/|\Z)")


def what_scores(value: Any) -> Any:
    """A specification, or a list of them, without what decides only how it is asked. Anything else as it is."""
    if isinstance(value, list | tuple):
        return [what_scores(item) for item in value]
    if not isinstance(value, str):
        return value
    found = _SPEC.fullmatch(f"http:{value}" if value.startswith(("http://", "https://")) else value)
    if found is None:
        return value
    front, name, rest = found[1], found[2], found[3] or ""
    kept = ",".join(_parameters(name, rest))
    if name in _NAMED and re.search(r"(?:\A|,)\s*model=", kept):
        kept = _ADDRESS.sub("", kept)
    return f"{front}{name}:{kept}" if kept else f"{front}{name}"


def asked_otherwise(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The flag, what it was and what it is, for each specification that two runs' settings write differently."""
    pairs = [(flag, before.get(name), after.get(name)) for name, flag in SPECIFICATIONS.items()]
    return [(flag, _shown(was), _shown(now)) for flag, was, now in pairs if was != now]


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list | tuple) else str(value or "none")


def _parameters(name: str, rest: str) -> Iterator[str]:
    """The parameters that count, as they were written. One that may hold commas runs to the end."""
    while rest:
        item, _, left = rest.partition(",")
        found = _PARAMETER.fullmatch(item)
        if found is None or found[1] in ("pattern", "function") or (name == "http" and found[1] == "url"):
            yield _without_port(rest.removeprefix("url=")) if name == "http" else rest
            return
        if found[1] not in _HOW:
            yield item
        rest = left


def _without_port(url: str) -> str:
    return _PORT.sub(r"\1", url)
