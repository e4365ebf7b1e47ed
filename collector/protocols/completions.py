"""The `completions` protocol: POST {base_url}/completions. Plain text in, plain text out, with no chat template."""

from __future__ import annotations

from collector.errors import ReplyError, RequestError
from collector.protocols.bodies import request_frame, seeded_body
from collector.protocols.choices import parse_choices, parse_first_choice
from collector.protocols.params import to_chat_params
from collector.protocols.plain import plain_reply
from collector.protocols.replies import read_usage
from collector.records.rows import JsonObject, Reply, Task
from collector.settings import CollectSettings

__all__ = ["CompletionsProtocol"]

_CHAT_ONLY = frozenset({"tools", "tool_choice", "parallel_tool_calls", "reasoning_effort", "verbosity"})


class CompletionsProtocol:
    """The prompt is the row's plain text, or the text of its one user message. A conversation has no plain form that
    every model shares, so it is refused rather than guessed at."""

    name = "completions"
    path = "/completions"
    sends_seed = True
    several = True

    def build(self, task: Task, settings: CollectSettings, samples: int = 1) -> bytes:
        def make() -> JsonObject:
            frame = request_frame(task, settings, _params(task), samples)
            return {**frame, "prompt": _prompt(task)}

        return seeded_body(task, settings, f"completions {samples}", make)

    def parse(self, body: bytes) -> Reply:
        return parse_first_choice(body, _read_choice)

    def parse_samples(self, body: bytes) -> list[Reply]:
        return parse_choices(body, _read_choice)


def _params(task: Task) -> JsonObject:
    params = {key: value for key, value in to_chat_params(task.params).items() if key not in _CHAT_ONLY}
    if "max_completion_tokens" in params:  # Chat's alone; a server that does not know it would cut at its own default
        params["max_tokens"] = params.pop("max_completion_tokens")
    return params


def _read_choice(
    data: JsonObject, choice: JsonObject, raw: bytes, *, odd: tuple[str, ...] = (), samples: int = 1
) -> Reply:
    text = choice.get("text")
    if not isinstance(text, str):
        raise ReplyError("the reply's choice has no text", failure_class="wrong_shape")
    return plain_reply(
        raw,
        text,
        finish_reason=choice.get("finish_reason"),
        usage=read_usage(data.get("usage")),
        odd=odd,
        samples=samples,
    )


def _prompt(task: Task) -> str:
    if task.row.text is not None:
        return task.row.text
    messages = task.row.messages
    content = messages[0].get("content") if len(messages) == 1 and messages[0]["role"] == "user" else None
    if not isinstance(content, str):
        roles = ", ".join(str(message["role"]) for message in messages) or "none"
        raise RequestError(
            f"input line {task.row.line}: completions takes a plain prompt or one user message of text; this row has "
            f"messages of {roles}: use --protocol chat",
            failure_class="bad_prompt",
            retryable=False,
        )
    return content
