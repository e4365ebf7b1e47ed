"""Request parameters between two vocabularies: Responses', which tasks are written in, and Chat's.

Null values are never sent: NeMo Gym's rows come padded with them. What neither vocabulary knows (top_k, min_p, stop,
chat_template_kwargs, ...) passes through as it is, and so do the fields of `metadata.extra_body`, NeMo Gym's own way
of carrying them. `stream` is always false: some servers stream unless told not to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from collector.records.rows import JsonObject
from collector.records.tools import LENGTH_LIMITS, chat_tool

__all__ = ["split_extra_body", "to_chat_params", "to_responses_params"]

_NEVER_SENT = frozenset({"input", "messages", "model", "stream", "stream_options", "background"})
_RESPONSES_ONLY = frozenset(
    {"conversation", "include", "instructions", "max_tool_calls", "previous_response_id", "prompt", "truncation"}
)
_NEED_TOOLS = ("tool_choice", "parallel_tool_calls")


def to_chat_params(params: Mapping[str, Any]) -> JsonObject:
    """Chat's parameters: `max_output_tokens` -> `max_tokens`, `text.format` -> `response_format`, `reasoning.effort` ->
    `reasoning_effort`, tools in Chat's shape.

    The limit is sent as `max_tokens` because vLLM, SGLang, llama.cpp and Ollama all take that name. OpenAI's newest
    models want `max_completion_tokens`: a row or a flag that uses this name gets it.
    """
    chat = _given(params)
    limit = _take_limit(chat)
    if limit is not None:
        chat[limit[0] if limit[0] == "max_completion_tokens" else "max_tokens"] = limit[1]
    for name in _RESPONSES_ONLY:
        chat.pop(name, None)
    _text_to_chat(chat)
    reasoning = chat.pop("reasoning", None)
    if isinstance(reasoning, dict) and reasoning.get("effort") is not None:
        chat.setdefault("reasoning_effort", reasoning["effort"])
    if chat.get("top_logprobs") is not None:
        chat.setdefault("logprobs", True)
    _convert_tools(chat, chat_tool)
    return chat


def to_responses_params(params: Mapping[str, Any]) -> JsonObject:
    """Responses' parameters; those that a row wrote in Chat's vocabulary are renamed the other way round."""
    responses = _given(params)
    limit = _take_limit(responses)
    if limit is not None:
        responses["max_output_tokens"] = limit[1]
    response_format = responses.pop("response_format", None)
    if isinstance(response_format, dict):
        schema = response_format.get("json_schema")
        flat = {"type": response_format.get("type"), **schema} if isinstance(schema, dict) else response_format
        responses["text"] = {"format": flat, **_mapping(responses.get("text"))}
    effort = responses.pop("reasoning_effort", None)
    if effort is not None:
        responses["reasoning"] = {"effort": effort, **_mapping(responses.get("reasoning"))}
    _convert_tools(responses, _responses_tool)
    return responses


def split_extra_body(params: JsonObject) -> JsonObject:
    """Take `metadata.extra_body` out of `params` and return its fields; one that is no JSON object stays."""
    metadata = params.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("extra_body"), str):
        return {}
    try:
        extra = orjson.loads(metadata["extra_body"])
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(extra, dict):
        return {}
    rest = {key: value for key, value in metadata.items() if key != "extra_body"}
    params["metadata"] = rest
    if not rest:
        del params["metadata"]
    return extra


def _given(params: Mapping[str, Any]) -> JsonObject:
    kept = {key: value for key, value in params.items() if value is not None and key not in _NEVER_SENT}
    if "metadata" in kept:
        kept = {**split_extra_body(kept), **kept}
    return kept


def _take_limit(params: JsonObject) -> tuple[str, Any] | None:
    given = [(name, params.pop(name)) for name in LENGTH_LIMITS if name in params]
    return given[0] if given else None


def _mapping(value: Any) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _text_to_chat(chat: JsonObject) -> None:
    """Responses' `text` holds Chat's `response_format` and `verbosity`."""
    text = _mapping(chat.pop("text", None))
    if text.get("verbosity") is not None:
        chat.setdefault("verbosity", text["verbosity"])
    wanted = _mapping(text.get("format"))
    if wanted.get("type") == "json_schema":
        schema = {key: value for key, value in wanted.items() if key != "type" and value is not None}
        chat.setdefault("response_format", {"type": "json_schema", "json_schema": schema})
    elif wanted.get("type") not in (None, "text"):
        chat.setdefault("response_format", wanted)


def _convert_tools(params: JsonObject, convert: Any) -> None:
    """Tools and the tool choice in the other shape. With no tools neither is sent: servers refuse a choice of none."""
    tools = params.pop("tools", None)
    if not tools:
        for name in _NEED_TOOLS:
            params.pop(name, None)
        return
    params["tools"] = [convert(tool) for tool in tools] if isinstance(tools, list) else tools
    if isinstance(params.get("tool_choice"), dict):
        params["tool_choice"] = convert(params["tool_choice"])


def _responses_tool(tool: Any) -> Any:
    if not isinstance(tool, dict) or not isinstance(tool.get("function"), dict):
        return tool
    return {"type": "function", **tool["function"]}
