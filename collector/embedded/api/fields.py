"""Request bodies: their types and ranges (checked by msgspec), and the fields this server knows but cannot honour.

Fields that nobody knows are ignored, as in vLLM. Fields that would change the text and that this server does not have
are refused unless they hold their neutral value: a collected file must not claim sampling that never happened.
"""

import re
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from collector.embedded.api.errors import ApiError

Count = Annotated[int, Meta(ge=1)]
Alternatives = Annotated[int, Meta(ge=0, le=20)]
Choices = Annotated[int, Meta(ge=1, le=128)]

_NEUTRAL: dict[str, tuple[object, ...]] = {
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "logit_bias": ({},),
    "tools": ([],),
    "functions": ([],),
    "response_format": ({"type": "text"},),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "previous_response_id": (),
    "background": (False,),
}


class SamplingFields(msgspec.Struct, kw_only=True):
    """What all three endpoints take. None is the same as not given."""

    model: str | None = None
    temperature: Annotated[float, Meta(ge=0)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=-1)] | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    ignore_eos: bool | None = None
    cache_salt: str | None = None
    presence_penalty: Any = None
    frequency_penalty: Any = None
    repetition_penalty: Any = None
    logit_bias: Any = None
    tools: Any = None
    functions: Any = None
    response_format: Any = None
    best_of: Any = None
    echo: Any = None
    suffix: Any = None
    previous_response_id: Any = None
    background: Any = None


class StreamOptions(msgspec.Struct):
    """OpenAI's stream_options."""

    include_usage: bool | None = None


class ContentPart(msgspec.Struct):
    """A part of a message's content."""

    type: str
    text: str | None = None


class Message(msgspec.Struct):
    """A chat message, and an input item of the Responses interface."""

    role: str | None = None
    content: str | list[ContentPart] | None = None
    type: str = "message"


class ChatRequest(SamplingFields):
    """Body of /v1/chat/completions."""

    messages: Annotated[list[Message], Meta(min_length=1)]
    n: Choices | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Alternatives | None = None
    stream_options: StreamOptions | None = None


class CompletionRequest(SamplingFields):
    """Body of /v1/completions."""

    prompt: str | list[str | int | list[int]]
    n: Choices | None = None
    max_tokens: Count | None = None
    logprobs: Alternatives | None = None
    stream_options: StreamOptions | None = None


class ResponsesRequest(SamplingFields):
    """Body of /v1/responses. `seed`, `stop`, `top_k` and `min_p` are not in OpenAI's; they are taken as extras."""

    input: str | Annotated[list[Message], Meta(min_length=1)]
    instructions: str | None = None
    max_output_tokens: Count | None = None
    metadata: dict[str, str] | None = None


Body = TypeVar("Body", bound=SamplingFields)


def parse_body(body: bytes, decoder: msgspec.json.Decoder[Body]) -> Body:
    """Raise `ApiError` (400) that names the field when it is of the wrong type, out of range, or not supported."""
    try:
        fields = decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _explain(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(f"the body is not valid JSON: {error}", code="invalid_json") from error
    for name, neutral in _NEUTRAL.items():
        value = getattr(fields, name)
        if value is not None and value not in neutral:
            raise ApiError(
                f"{name}: the embedded server does not have this; leave it out",
                param=name,
                code="unsupported_parameter",
            )
    return fields


def _explain(message: str) -> ApiError:
    """Turn msgspec's "Expected `int`, got `str` - at `$.n`" into "n: expected `int`, got `str`"."""
    located = re.fullmatch(r"(?P<what>.*?) - at `\$\.?(?P<where>.*)`", message, re.DOTALL)
    missing = re.search(r"missing required field `(\w+)`", message)
    if missing:
        prefix = f"{located['where']}." if located else ""
        return ApiError(f"{prefix}{missing[1]}: required", param=prefix + missing[1], code="missing_required_parameter")
    if not located or not located["where"]:
        return ApiError(f"the body: {message}", code="invalid_type")
    what = located["what"][:1].lower() + located["what"][1:]
    return ApiError(f"{located['where']}: {what}", param=located["where"], code="invalid_value")
