"""The requests and answers of servers of reward models: vLLM's /classify, /score and /pooling, SGLang's /classify.

No I/O. The shapes are those of vLLM 0.13 and later (its `entrypoints/pooling/*/protocol.py`; `messages` in /classify
came with 0.12 or 0.13, `use_activation` took the place of `activation` and `softmax`) and of SGLang's native API.

    classify   {"model", "messages" or "input"}    -> {"data": [{"label": "LABEL_0", "probs": [0.7]}]}
    score      {"model", "text_1", "text_2"}       -> {"data": [{"score": 0.7}]}
    pooling    {"model", "messages" or "input"}    -> {"data": [{"data": [[0.1], [0.7]]}]}, a vector for each token
    sglang     {"model", "text"}                   -> {"embedding": [0.7]}, or a list of them
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from collector.errors import VerifierError
from collector.protocols.server_text import one_line
from collector.records.rows import JsonObject, Message

__all__ = ["APIS", "JOINS", "Question", "RewardApi", "Vectors", "join_vectors", "read_json"]

Vectors = list[list[float]]
"""What a reward model says of one conversation: a vector of numbers, or one for each token or step."""


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt and its answer, in every form that a server may want; `text` is what the user's template made."""

    messages: list[Message]
    prompt: str
    answer: str
    text: str | None = None


@dataclass(frozen=True, slots=True)
class RewardApi:
    """One way of asking. `request` makes the body, without `model`; `read` finds the vectors in the answer, and the
    label that the model chose where it has labels."""

    path: str
    request: Callable[[Question], JsonObject]
    read: Callable[[Any], tuple[Vectors, str | None]]
    takes_activation: bool = True
    takes_template: bool = True
    needs_template: bool = False
    """Whether the server renders no chat template itself."""


def join_vectors(vectors: Vectors, index: int | None, join: str) -> float:
    """The reward among the vectors: the number at `index` of each (their only one when None), joined over the tokens
    or steps by `join`; infinite when they are too large to join. Raises VerifierError."""
    column = [_number_at(vector, index) for vector in vectors]
    if not column:
        raise _bad_answer("it holds no number")
    try:
        return JOINS[join](column)
    except OverflowError:
        return math.inf  # the caller refuses it


JOINS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "last": lambda column: column[-1],
    "min": min,
    "mean": statistics.fmean,
    "product": math.prod,
}
"""From the numbers of all tokens or steps to one. An outcome model's is at its last token; a process model's steps are
joined by the least, the mean or the product."""


def _number_at(vector: list[float], index: int | None) -> float:
    if index is None and len(vector) != 1:
        raise _bad_answer(f"the model has {len(vector)} outputs: say which is the reward with index=")
    if index is not None and index >= len(vector):
        raise _bad_answer(f"index={index}, but the model has {len(vector)} outputs, counted from 0")
    return vector[index or 0]


def _conversation(question: Question) -> JsonObject:
    return {"messages": question.messages} if question.text is None else {"input": question.text}


def _conversation_in_floats(question: Question) -> JsonObject:
    return {**_conversation(question), "encoding_format": "float"}


def _pair(question: Question) -> JsonObject:
    # Every version of /score takes these names; queries and documents came later.
    return {"text_1": question.prompt, "text_2": question.answer}


def _text_alone(question: Question) -> JsonObject:
    return {"text": question.text or ""}


def _read_classes(answer: Any) -> tuple[Vectors, str | None]:
    item = _only_item(answer)
    label = item.get("label")
    return [_vector(item.get("probs"))], label if isinstance(label, str) else None


def _read_score(answer: Any) -> tuple[Vectors, str | None]:
    return [_vector([_only_item(answer).get("score")])], None


def _read_pooled(answer: Any) -> tuple[Vectors, str | None]:
    data = _only_item(answer).get("data")
    if isinstance(data, list) and data and all(isinstance(part, list) for part in data):
        return [_vector(part) for part in data], None
    return [_vector(data)], None


def _read_embedding(answer: Any) -> tuple[Vectors, str | None]:
    item = answer[0] if isinstance(answer, list) and len(answer) == 1 else answer
    if not isinstance(item, dict):
        raise _bad_answer("it is no object with an `embedding`")
    return [_vector(item.get("embedding"))], None


def _only_item(answer: Any) -> JsonObject:
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list) or len(data) != 1 or not isinstance(data[0], dict):
        raise _bad_answer("it is no object with one item under `data`")
    return data[0]


def _vector(value: Any) -> list[float]:
    """A list of finite numbers. Raises VerifierError for anything else in it: NaN stands in JSON as null."""
    if not isinstance(value, list) or not value:
        raise _bad_answer("there is no list of numbers in it")
    for number in value:
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise VerifierError(
                f"the reward model says {one_line(repr(number), 40)}; a finite number is needed",
                failure_class="bad_reward",
            )
    return [float(number) for number in value]


def _bad_answer(problem: str) -> VerifierError:
    return VerifierError(f"the reward model's answer: {problem}", failure_class="bad_reward")


def read_json(body: bytes) -> Any:
    """The answer's JSON. Raises VerifierError, retryable, when it is none: a proxy answers 200 with a page."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        message = one_line(f"the reward model's answer is not JSON: {error}")
        raise VerifierError(message, failure_class="verifier_bad_reply", retryable=True) from None


APIS: Mapping[str, RewardApi] = {
    "classify": RewardApi("/classify", _conversation, _read_classes),
    "score": RewardApi("/score", _pair, _read_score, takes_template=False),
    "pooling": RewardApi("/pooling", _conversation_in_floats, _read_pooled),
    "sglang": RewardApi("/classify", _text_alone, _read_embedding, takes_activation=False, needs_template=True),
}
