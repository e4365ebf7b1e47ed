"""The choices of a Chat or completions reply: the first alone, or each of them as a reply of its own."""

from __future__ import annotations

from typing import Any
from typing import Protocol as Interface

import msgspec

from collector.errors import ReplyError
from collector.protocols.replies import one_json_line, read_object
from collector.protocols.server_text import one_line
from collector.records.rows import JsonObject, Reply

__all__ = ["ReadChoice", "parse_choices", "parse_first_choice"]


class ReadChoice(Interface):
    """How a protocol reads one choice. Raises ReplyError, wrong_shape, for a choice of no use."""

    def __call__(
        self, data: JsonObject, choice: JsonObject, raw: bytes, *, odd: tuple[str, ...] = (), samples: int = 1
    ) -> Reply: ...


_read_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def parse_first_choice(body: bytes, read: ReadChoice) -> Reply:
    """The first choice as the reply, `raw` the whole body; others beside it are flagged `extra_choices`."""
    data = read_object(body)
    choices = _choices_of(data)
    odd = ("extra_choices",) if len(choices) > 1 else ()
    return read(data, _object(choices[0]), one_json_line(body), odd=odd)


def parse_choices(body: bytes, read: ReadChoice) -> list[Reply]:
    """Each choice as a reply, by its `index`: `raw` is the body with that choice alone, every value in it as it came.

    A choice of no use is left out while there are others, so that a request that cost tokens is not lost for it.
    Raises ReplyError as `parse_first_choice` does, also when no choice is of use.
    """
    data = read_object(body)
    choices = _choices_of(data)
    if len(choices) == 1:
        return [read(data, _object(choices[0]), one_json_line(body))]
    replies: list[Reply] = []
    faults: list[ReplyError] = []
    for choice, raw in _in_order(choices, _with_one_choice(one_json_line(body))):
        try:
            replies.append(read(data, _object(choice), raw, samples=len(choices)))
        except ReplyError as error:
            faults.append(error)
    if not replies:
        raise faults[0]
    return replies


def _choices_of(data: JsonObject) -> list[Any]:
    choices = data.get("choices")
    if not isinstance(choices, list):
        keys = one_line(", ".join(data), 200) or "none"
        raise ReplyError(f"the reply has no choices; its keys: {keys}", failure_class="wrong_shape")
    if not choices:
        raise ReplyError("the reply's choices are empty", failure_class="empty_choices")
    return choices


def _object(choice: Any) -> JsonObject:
    if not isinstance(choice, dict):
        raise ReplyError("the reply's choice is no object", failure_class="wrong_shape")
    return choice


def _with_one_choice(line: bytes) -> list[bytes]:
    """The reply once for each of its choices, in the order in which they stand, with that choice alone in it.

    The values' bytes are untouched. Of a key that stands twice the last is kept, as every JSON reader does.
    """
    fields = _read_fields(line)
    choices = _read_list(fields["choices"])
    replies = []
    for choice in choices:
        fields["choices"] = msgspec.Raw(b"[" + bytes(choice) + b"]")
        replies.append(msgspec.json.encode(fields))
    return replies


def _in_order(choices: list[Any], raws: list[bytes]) -> list[tuple[Any, bytes]]:
    """Choices with their bytes, by their `index` where each has one: a server may send them as they finished."""
    pairs = list(zip(choices, raws, strict=True))
    indices = [choice.get("index") if isinstance(choice, dict) else None for choice in choices]
    if all(type(index) is int for index in indices):
        pairs.sort(key=lambda pair: int(pair[0]["index"]))
    return pairs
