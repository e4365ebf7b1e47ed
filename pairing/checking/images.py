"""The rules for rows with images: as many places as images, each given as the trainer opens it, none in an answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pairing.checking.layouts import Note, View
from pairing.formats import FORMATS
from pairing.formats.images import MARK, has_mark, source_kind

__all__ = ["image_notes"]

_PART_KINDS = ("text", "image")


def image_notes(row: Mapping[str, Any], view: View, target: str) -> Iterator[Note]:
    """What is wrong with the images of a row, where the target takes some and the row has such a column."""
    opens = FORMATS[target].capabilities.images
    if not opens or "images" not in row:
        return
    images = row["images"]
    if not isinstance(images, list):
        if target == "trl" or images is not None:
            yield Note("wrong_type", "images is not a list")
        return
    for place, image in enumerate(images):
        if not isinstance(image, str | dict) or (isinstance(image, str) and source_kind(image) not in opens):
            yield Note("image_source", f"images[{place}]: {str(image)[:40]}")
    prompt = view.prompt if view.prompt is not None else (view.chosen or [])[:-1]
    sides = [(name, side[-1:] if view.prompt is None else side) for name, side in view.sides]
    if target == "trl":
        yield from _part_notes(prompt, sides, len(images))
    elif images or target == "llama-factory":  # ms-swift leaves the marks of a row without images alone
        yield from _mark_notes(prompt, sides, len(images))


def _mark_notes(prompt: Sequence[Any], sides: Sequence[tuple[str, list[Any]]], images: int) -> Iterator[Note]:
    """Where marks in the text are the images' places: they are counted in the prompt with each side."""
    asked = sum(_text(message).count(MARK) for message in prompt)
    for name, side in sides:
        places = asked + sum(_text(message).count(MARK) for message in side)
        if places != images:
            yield Note("image_count", f"{name}: {places} times {MARK}, {images} in images")
            return


def _part_notes(prompt: Sequence[Any], sides: Sequence[tuple[str, list[Any]]], images: int) -> Iterator[Note]:
    """Where parts are the images' places. TRL puts all in front of the first user's message that is a string."""
    for name, messages in (("prompt", prompt), *sides):
        for place, message in enumerate(messages):
            kinds = [part.get("type") if isinstance(part, dict) else None for part in _parts(message)]
            if any(kind not in _PART_KINDS for kind in kinds) or (name != "prompt" and "image" in kinds):
                yield Note("content_parts", f"{name}[{place}]")
    places = sum(isinstance(p, dict) and p.get("type") == "image" for message in prompt for p in _parts(message))
    in_front = any(_is_text_of_user(message) for message in prompt)
    if places + in_front * images != images:
        yield Note("image_count", f"{places + in_front * images} places, {images} in images")
    if any(has_mark(_text(message)) for messages in (prompt, *(side for _, side in sides)) for message in messages):
        yield Note("image_mark", "")


def _is_text_of_user(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") == "user" and isinstance(message.get("content"), str)


def _text(message: Any) -> str:
    content = message.get("content") if isinstance(message, dict) else None
    texts = [part.get("text") for part in _parts(message) if isinstance(part, dict)]
    return content if isinstance(content, str) else "\n".join(text for text in texts if isinstance(text, str))


def _parts(message: Any) -> list[Any]:
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, list) else []
