"""The `chat` protocol: POST {base_url}/chat/completions."""

from __future__ import annotations

from collector.errors import ReplyError
from collector.protocols.bodies import request_frame, seeded_body
from collector.protocols.choices import parse_choices, parse_first_choice
from collector.protocols.params import to_chat_params
from collector.protocols.plain import plain_reply, text_of_message
from collector.protocols.replies import make_reply, read_usage
from collector.records.messages import messages_from_items, prompt_messages
from collector.records.rows import JsonObject, Message, Reply, Task
from collector.settings import CollectSettings

__all__ = ["ChatProtocol"]


class ChatProtocol:
    """Messages in, the first choice's message out. Reasoning, tool calls and refusals are kept on it."""

    name = "chat"
    path = "/chat/completions"
    sends_seed = True
    several = True

    def build(self, task: Task, settings: CollectSettings, samples: int = 1) -> bytes:
        def make() -> JsonObject:
            return {
                **request_frame(task, settings, to_chat_params(task.params), samples),
                "messages": _messages(task),
            }

        return seeded_body(task, settings, f"chat {samples}", make)

    def parse(self, body: bytes) -> Reply:
        return parse_first_choice(body, _read_choice)

    def parse_samples(self, body: bytes) -> list[Reply]:
        return parse_choices(body, _read_choice)


def _read_choice(
    data: JsonObject, choice: JsonObject, raw: bytes, *, odd: tuple[str, ...] = (), samples: int = 1
) -> Reply:
    message = choice.get("message")
    if not isinstance(message, dict):
        raise ReplyError("the reply's choice has no message", failure_class="wrong_shape")
    finish_reason, usage = choice.get("finish_reason"), read_usage(data.get("usage"))
    text = text_of_message(message)
    if text is not None:
        return plain_reply(raw, text, finish_reason=finish_reason, usage=usage, odd=odd, samples=samples)
    return make_reply(
        raw,
        messages_from_items([{"role": "assistant", **message}]),
        finish_reason=finish_reason,
        usage=usage,
        odd=odd,
        samples=samples,
    )


def _messages(task: Task) -> list[Message]:
    """The prompt's messages, behind the instructions that the task's parameters carry. Items that Chat has no name for
    are not sent, nor a message that held nothing else: servers refuse keys they do not know."""
    instructions = task.params.get("instructions")
    messages = prompt_messages(task.row.input, instructions) if instructions else task.row.messages
    if not any("items" in message for message in messages):
        return messages
    known = [{key: value for key, value in message.items() if key != "items"} for message in messages]
    return [message for message in known if message["content"] or len(message) > len(("role", "content"))]
