"""An agent's account of what it was asked, beside what it was asked.

NeMo Gym's agents answer with the `responses_create_params` that they worked with: the request padded with nulls and
defaults, and, from some agents, a prompt that they changed (a system prompt, a simulated user's turns, tools).
"""

from __future__ import annotations

from typing import Any

from collector.records.messages import messages_from_items, prompt_messages
from collector.records.rows import JsonObject
from collector.records.tools import LENGTH_LIMITS

__all__ = ["adds_nothing"]

_DEFAULTS: JsonObject = {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True, "metadata": {}}
"""What NeMo Gym fills in where a request is silent."""
_DEEPEST = 100


def adds_nothing(told: Any, asked: JsonObject) -> bool:
    """Whether `told` says nothing but `asked` again. The model's name and `metadata.extra_body` are the collector's own
    additions; a prompt is the same when its messages are."""
    if not isinstance(told, dict):
        return False
    for name, value in told.items():
        if name in ("model", "input") or value is None or value == _DEFAULTS.get(name) or value == asked.get(name):
            continue
        if not _same(name, _bare(value), asked):
            return False
    return (
        "input" not in told or told["input"] == asked["input"] or _messages(told["input"]) == _messages(asked["input"])
    )


def _same(name: str, value: Any, asked: JsonObject) -> bool:
    """Whether a parameter that looks different says the same; `value` is without its nulls."""
    if name == "max_output_tokens":
        return value in [asked.get(limit) for limit in LENGTH_LIMITS]
    ours = _bare(asked.get(name))
    if name == "metadata":
        for metadata in (value, ours):
            if isinstance(metadata, dict):
                metadata.pop("extra_body", None)
    return bool(value == ours or value == _DEFAULTS.get(name))


def _bare(value: Any, depth: int = 0) -> Any:
    """`value` without the keys whose value is null. Only to some depth: how deep an agent nests is its own choice."""
    if depth == _DEEPEST:
        return value
    if isinstance(value, dict):
        return {name: _bare(part, depth + 1) for name, part in value.items() if part is not None}
    return [_bare(part, depth + 1) for part in value] if isinstance(value, list) else value


def _messages(prompt: Any) -> Any:
    if isinstance(prompt, str):
        return prompt_messages(prompt)
    return messages_from_items(prompt) if isinstance(prompt, list) else prompt
