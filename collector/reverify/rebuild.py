"""A row of a rollouts file -> the task and the reply that a verifier judges, as if they had just been made.

Rows of ours carry the answer as `output`; NeMo Gym's carry it in `response` alone. Fields that the stream moved aside
come back under their own names, so that a verifier finds in the row what it would find in the input.
"""

from __future__ import annotations

from typing import Any

import msgspec

from collector.errors import ReplyError, VerifierError
from collector.protocols.replies import read_usage
from collector.protocols.responses import read_response
from collector.records.identity import prompt_id_of
from collector.records.messages import final_text, prompt_messages
from collector.records.rollouts import RESERVED, SOURCE_FIELDS
from collector.records.rows import JsonObject, PromptRow, Reply, Task
from collector.reverify.splice import PREVIOUS_FIELDS, PREVIOUS_REWARD

__all__ = ["prompt_id_in", "rebuild_reply", "rebuild_task"]

_PARAMS = "responses_create_params"
_PROMPTS = ("messages", "prompt")
_FOREIGN = frozenset({_PARAMS, "response", "reward", "reward_components", "_ng_task_index", "_ng_rollout_index"})
"""What a row of NeMo Gym's holds besides the source row's fields."""
_ADDED = frozenset({PREVIOUS_REWARD, PREVIOUS_FIELDS, "_incomplete"})
"""What this project's later steps add to a row."""


class _Responding(msgspec.Struct, gc=False):
    """The row's response, as the bytes it stands there in."""

    response: msgspec.Raw = msgspec.Raw(b"{}")


_read_response = msgspec.json.Decoder(_Responding).decode


def rebuild_task(row: JsonObject, key: tuple[int, int], line: int) -> Task:
    """The task that the row was made for."""
    params = row.get(_PARAMS)
    params = params if isinstance(params, dict) else {}
    prompt = _prompt(row, params)
    params = {name: value for name, value in params.items() if name != "input" and value is not None}
    instructions = params.get("instructions")
    messages = prompt_messages(prompt, instructions if isinstance(instructions, str) else None)
    source = PromptRow(
        task_index=key[0],
        line=line,
        fields=_source_fields(row),
        input=prompt,
        messages=messages,
        text=prompt if isinstance(prompt, str) else None,
        params=params,
        prompt_id=_prompt_id(row, messages, params.get("tools")),
    )
    seed = row.get("seed")
    return Task(source, key[1], params, seed if isinstance(seed, int) and _is_ours(row) else None)


def rebuild_reply(row: JsonObject, line: bytes) -> Reply:
    """The row's answer. `line` are the row's bytes. Raises VerifierError, of the class `no_answer`, for a row that
    holds none: an input, a profile, a response that failed."""
    raw = bytes(_read_response(line).response)
    if not _is_ours(row):
        response = row.get("response")
        if not isinstance(response, dict):
            raise VerifierError("the row holds no answer: neither `output` nor `response`", failure_class="no_answer")
        try:
            return read_response(response, raw)
        except ReplyError as error:
            raise VerifierError(f"the row's response holds no answer: {error}", failure_class="no_answer") from None
    finish_reason, flags = row.get("finish_reason"), row.get("flags")
    output = [message for message in row["output"] if isinstance(message, dict)]
    return Reply(
        raw=raw,
        output=output,
        text=final_text(output),
        finish_reason=finish_reason if isinstance(finish_reason, str) else None,
        usage=read_usage(row.get("usage")),
        flags=tuple(flag for flag in flags if isinstance(flag, str)) if isinstance(flags, list) else (),
    )


def prompt_id_in(row: JsonObject) -> str:
    """The row's prompt_id, made from its prompt when it has none."""
    return rebuild_task(row, (0, 0), 0).row.prompt_id


def _is_ours(row: JsonObject) -> bool:
    """True when `output` is the answer: a source row of NeMo Gym's may have a field of that name too."""
    return isinstance(row.get("output"), list) and ("attempt" in row or not isinstance(row.get("response"), dict))


def _prompt(row: JsonObject, params: JsonObject) -> list[Any] | str:
    for value in (params.get("input"), *(row.get(name) for name in _PROMPTS)):
        if isinstance(value, str | list) and value:
            return value
    return ""


def _prompt_id(row: JsonObject, messages: list[JsonObject], tools: Any) -> str:
    given = row.get("prompt_id")
    if isinstance(given, str) and len(given) == 16 and all(digit in "0123456789abcdef" for digit in given):
        return given
    return prompt_id_of(messages, tools)


def _source_fields(row: JsonObject) -> JsonObject:
    """The fields that the source row had, and those of verifiers and agents that stand among them."""
    ours = _is_ours(row)
    reserved = RESERVED if ours else _FOREIGN
    fields = {name: value for name, value in row.items() if name not in reserved and name not in _ADDED}
    moved = row.get(SOURCE_FIELDS) if ours else None
    if isinstance(moved, dict):
        fields.update(moved)
    if not any(name in fields for name in _PROMPTS) and _PARAMS in row:
        fields[_PARAMS] = row[_PARAMS]
    return fields
