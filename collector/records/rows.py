"""What flows through a run: PromptRow -> Task -> Reply -> Verdict. Plain data, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["JsonObject", "Message", "PromptRow", "Reply", "Task", "Usage", "Verdict"]

JsonObject = dict[str, Any]
Message = dict[str, Any]
"""One Chat message: {"role": ..., "content": ...} plus what the role allows (tool_calls, tool_call_id, ...)."""


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One accepted row of the input file.

    `fields` is the source row as it was read, all of it, in its own key order. `input` is the prompt as it is asked,
    list or string: the row's own, or what the run's template and system prompt made of it. `messages` is the same in
    Chat form, and `text` as plain text, where it has such a form: a string, or one user message behind the run's system
    prompt. `params` are the row's own request parameters in Responses vocabulary (`max_output_tokens`, `tools`, ...),
    without `input`.
    """

    task_index: int
    """0-based position among the rows of the input: NeMo Gym's `_ng_task_index`."""
    line: int
    """1-based line of the input file, for messages."""
    fields: JsonObject
    input: list[Any] | str
    messages: list[Message]
    text: str | None
    params: JsonObject
    prompt_id: str
    """16 hex digits: a content hash of the prompt (see `collector.records.identity`)."""
    memo: dict[tuple[str, int, int], Any] = field(init=False, default_factory=dict, compare=False, repr=False)
    """What was worked out once for all its repeats; only `collector.records.splice` looks at it."""


@dataclass(frozen=True, slots=True)
class Task:
    """One rollout to be made: a prompt row and which repeat of it. `params` are the merged request parameters
    (command line over row) in Responses vocabulary; `seed` is distinct and stable for each repeat, or None when the
    protocol sends none."""

    row: PromptRow
    rollout_index: int
    params: JsonObject
    seed: int | None

    @property
    def key(self) -> tuple[int, int]:
        """(task_index, rollout_index): the identity of the rollout inside its run."""
        return self.row.task_index, self.rollout_index


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as the server gave them, under one set of names whichever protocol spoke."""

    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Reply:
    """A model's (or an agent's) answer to one task, parsed.

    `raw` is the JSON object that becomes the row's `response`: the server's bytes, one line, untouched. `output` are
    the answer's messages in Chat form (assistant turns and, from agents, the tool turns between them). `text` is the
    final assistant text, what verifiers score; empty when there is none. `finish_reason` is in Chat vocabulary:
    stop, length, tool_calls, content_filter, or what the server said. `flags` name what was odd about the reply
    (`empty`, `truncated`, `refusal`, `extra_choices`, ...). Agents bring a reward and fields of their own.
    """

    raw: bytes
    output: list[Message]
    text: str
    finish_reason: str | None
    usage: Usage | None
    flags: tuple[str, ...] = ()
    reward: float | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 1
    """How many replies came with the same request; `usage` is theirs together."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verifier's judgement: a finite reward, its named parts, and fields to put beside them on the row."""

    reward: float
    components: Mapping[str, float] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)
