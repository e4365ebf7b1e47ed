"""Images of a prompt: what names them, and the marks that stand for them in a trainer's text.

A user's turn with images has `parts` too, in order: {"type": "text", "text"} or {"type": "image", "image"}.
An image is named by a path, a URL or a data URI; which of them a trainer opens is its format's to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from collector.records.rows import Message
from pairing.formats.base import Unfit

__all__ = ["MARK", "escaped", "has_mark", "images_of", "marked_text", "refuse_marks", "source_kind", "user_parts"]

MARK = "<image>"
"""What LLaMA-Factory, ms-swift and the processors of LLaVA's kind take for an image, wherever it stands in a text."""
_MARK_LIKE = re.compile("<(image|video|audio)>")
_DATA = re.compile(r"data:image/[a-z0-9.+-]+;base64,[A-Za-z0-9+/]+={0,2}")
_LONGEST_PATH = 1000
"""Characters. What is longer and no URL is base64 without its beginning, more likely than a path."""


def user_parts(content: Iterable[Any], takes: frozenset[str]) -> list[dict[str, str]]:
    """The parts of a user's message, text and images alone. `takes`: the kinds of sources that the trainer opens.
    Raises Unfit for a part of another kind, and for a source that the trainer does not open."""
    return [_part(part, takes) for part in content]


def refuse_marks(messages: Iterable[Message]) -> None:
    """Raises Unfit for plain turns with a text that a trainer would take for an image: for rows that have images."""
    if any(has_mark(text) for message in messages for text in _texts(message)):
        raise Unfit("unfit_image_mark")


def images_of(messages: Iterable[Message]) -> Iterator[str]:
    """The images' sources, in order."""
    for message in messages:
        yield from (part["image"] for part in message.get("parts", ()) if part["type"] == "image")


def marked_text(message: Message) -> str:
    """The message's text, MARK where an image stands."""
    if "parts" not in message:
        text: str = message["content"]
        return text
    return "".join(part.get("text", MARK) for part in message["parts"])


def has_mark(text: str) -> bool:
    """True when a text holds what trainers take for an image, a video or a sound."""
    return _MARK_LIKE.search(text) is not None


def escaped(text: str) -> str:
    """The text of a row without images, in a file that has some: a mark in it is no mark any more."""
    return _MARK_LIKE.sub(r"< \1>", text)


def source_kind(source: str) -> str | None:
    """`url`, `data` or `path`, as trainers tell them apart; None for what none of them opens."""
    if source.startswith(("http://", "https://")):
        return "url"
    if source.startswith("data:"):
        return "data" if _DATA.fullmatch(source) else None
    plain = 0 < len(source) <= _LONGEST_PATH and source.isprintable()
    return "path" if plain and "://" not in source else None


def _texts(message: Message) -> Iterator[str]:
    """All that a template may show of a plain turn."""
    yield from (message["content"], message.get("reasoning_content", ""))
    yield from (call["function"]["arguments"] for call in message.get("tool_calls", ()))


def _part(part: Any, takes: frozenset[str]) -> dict[str, str]:
    if not isinstance(part, dict):
        raise Unfit("unfit_content_parts")
    if part.get("type") == "text":
        return {"type": "text", "text": str(part.get("text", ""))}
    if part.get("type") != "image_url":
        raise Unfit("unfit_content_parts")
    source = _source(part.get("image_url"))
    if source is None or source_kind(source) not in takes:
        raise Unfit("unfit_image_source")
    return {"type": "image", "image": source}


def _source(image: Any) -> str | None:
    """The source of a Chat part; a file: URL becomes the path that it names."""
    source = image.get("url") if isinstance(image, Mapping) else image
    if not isinstance(source, str):
        return None
    if not source.startswith("file:"):
        return source
    try:
        there = urlsplit(source)
    except ValueError:
        return None
    return unquote(there.path) if there.netloc in ("", "localhost") else None
