"""The `responses` protocol: POST {base_url}/responses."""

from __future__ import annotations

from typing import Any

from collector.errors import ReplyError
from collector.protocols.bodies import request_frame, seeded_body
from collector.protocols.items import responses_input
from collector.protocols.params import to_responses_params
from collector.protocols.plain import plain_reply, text_of_items
from collector.protocols.replies import make_reply, one_json_line, read_object, read_usage
from collector.protocols.server_text import one_line
from collector.records.messages import messages_from_items
from collector.records.rows import JsonObject, Message, Reply, Task, Usage
from collector.settings import CollectSettings

__all__ = ["ResponsesProtocol", "read_response"]

_INCOMPLETE = {"max_output_tokens": "length"}
"""Chat's word for a Responses `incomplete_details.reason`; other reasons (content_filter) are the same in both."""


class ResponsesProtocol:
    """Input items in, output items out, kept as messages in Chat form."""

    name = "responses"
    path = "/responses"
    sends_seed = True
    several = False

    def build(self, task: Task, settings: CollectSettings, samples: int = 1) -> bytes:
        def make() -> JsonObject:
            frame = request_frame(task, settings, to_responses_params(task.params), samples)
            return {**frame, "input": responses_input(task.row.input)}

        return seeded_body(task, settings, "responses", make)

    def parse(self, body: bytes) -> Reply:
        return read_response(read_object(body), one_json_line(body))

    def parse_samples(self, body: bytes) -> list[Reply]:
        return [self.parse(body)]


def read_response(data: JsonObject, raw: bytes, reward: float | None = None, fields: JsonObject | None = None) -> Reply:
    """The Reply in a Responses object. Raises ReplyError: error_body when it failed, wrong_shape without an output.

    An empty output is a reply flagged `empty`: reasoning models that hit their limit answer so.
    """
    status = data.get("status")
    if status in ("failed", "cancelled", "in_progress", "queued"):
        raise ReplyError(f"the response's status is {status}", failure_class="error_body")
    items: Any = data.get("output")
    if not isinstance(items, list):
        keys = one_line(", ".join(data), 200) or "none"
        raise ReplyError(f"the response has no output list; its keys: {keys}", failure_class="wrong_shape")
    usage = read_usage(data.get("usage"))
    text = text_of_items(items)
    if text is not None:
        finish_reason = _finish_reason(data, [], usage)
        return plain_reply(raw, text, finish_reason=finish_reason, usage=usage, reward=reward, fields=fields)
    output = messages_from_items(items)
    finish_reason = _finish_reason(data, output, usage)
    return make_reply(raw, output, finish_reason=finish_reason, usage=usage, reward=reward, fields=fields)


def _finish_reason(data: JsonObject, output: list[Message], usage: Usage | None) -> str | None:
    """Why it stopped, in Chat's words. llama.cpp says `completed` of a response cut at its limit: where the server
    repeats the limit, the token count tells; where it does not, such a reply reads as `stop`."""
    details = data.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    if data.get("status") == "incomplete":
        return _INCOMPLETE.get(str(reason), str(reason or "incomplete"))
    limit = data.get("max_output_tokens")
    if isinstance(limit, int) and usage is not None and usage.output_tokens >= limit > 0:
        return "length"
    if output and output[-1].get("tool_calls") and not output[-1].get("content"):
        return "tool_calls"
    return "stop" if data.get("status") == "completed" else data.get("status")
