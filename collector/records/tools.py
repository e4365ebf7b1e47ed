"""Tools and request parameters in the two vocabularies: Chat's nests a function, Responses' writes it flat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["LENGTH_LIMITS", "NEMO_GYM_PARAMS", "chat_tool", "overridden"]

LENGTH_LIMITS = ("max_output_tokens", "max_tokens", "max_completion_tokens")
"""Three names of one limit. When several are given the first here wins: it is the name that our flag writes."""

NEMO_GYM_PARAMS = frozenset(
    {
        "background",
        "include",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt",
        "reasoning",
        "service_tier",
        "store",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    }
)
"""What NeMo Gym takes in `responses_create_params` (its `NeMoGymResponseCreateParamsNonStreaming`), `input` apart; it
answers anything else with a 422."""


def overridden(params: Mapping[str, Any], by: Mapping[str, Any]) -> dict[str, Any]:
    """`params` with those of `by`, which win. A limit of the length takes the place of one under any other name."""
    limited = not by.keys().isdisjoint(LENGTH_LIMITS)
    return {name: value for name, value in params.items() if not (limited and name in LENGTH_LIMITS)} | dict(by)


def chat_tool(tool: Any) -> Any:
    """A tool in Chat's shape: {"type": "function", "name": ...} -> {"type": "function", "function": {"name": ...}}.

    Keys that are null are left out; other kinds of tools, and those in Chat's shape already, stay as they are.
    """
    if not isinstance(tool, dict) or tool.get("type") != "function" or "function" in tool:
        return tool
    function = {key: value for key, value in tool.items() if key != "type" and value is not None}
    return {"type": "function", "function": function}
