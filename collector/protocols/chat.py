"""The `chat` protocol: POST {base_url}/chat/completions."""

from __future__ import annotations

from collector.errors import ReplyError
from collector.protocols.base import encode_body, make_reply, read_usage
from collector.protocols.choices import parse_choices, parse_first_choice
from collector.protocols.params import to_chat_params
from collector.records.messages import messages_from_items, prompt_messages
from collector.records.rows import JsonObject, Message, Reply, Task
from collector.settings import CollectSettings

__all__ = ["ChatProtocol", "request_frame"]


class ChatProtocol:
    """Messages in, the first choice's message out. Reasoning, tool calls and refusals are kept on it."""

    name = "chat"
    path = "/chat/completions"
    sends_seed = True
    several = True

    def build(self, task: Task, settings: CollectSettings, samples: int = 1) -> bytes:
        body = request_frame(task, settings, to_chat_params(task.params), samples)
        body["messages"] = _messages(task)
        body.update(settings.extra_body)
        return encode_body(body, task)

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
    return make_reply(
        raw,
        messages_from_items([{"role": "assistant", **message}]),
        finish_reason=choice.get("finish_reason"),
        usage=read_usage(data.get("usage")),
        odd=odd,
        samples=samples,
    )


def request_frame(task: Task, settings: CollectSettings, params: JsonObject, samples: int = 1) -> JsonObject:
    """A body without its prompt: the model, the parameters, the seed, the samples wanted. The settings' model wins over
    the row's."""
    model = settings.model or task.params.get("model")
    body: JsonObject = {"model": model} if model else {}
    body.update(params)
    if task.seed is not None:
        body["seed"] = task.seed
    if samples > 1:
        body["n"] = samples
    body["stream"] = False
    return body


def _messages(task: Task) -> list[Message]:
    """The prompt's messages, behind the instructions that the task's parameters carry. Items that Chat has no name for
    are not sent, nor a message that held nothing else: servers refuse keys they do not know."""
    instructions = task.params.get("instructions")
    messages = prompt_messages(task.row.input, instructions) if instructions else task.row.messages
    if not any("items" in message for message in messages):
        return messages
    known = [{key: value for key, value in message.items() if key != "items"} for message in messages]
    return [message for message in known if message["content"] or len(message) > len(("role", "content"))]
