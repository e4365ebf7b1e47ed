"""The files of a tune: its pilot of prompts, and what is written whole or not at all."""

from __future__ import annotations

import os
import random
from pathlib import Path

from collector.errors import OutputError
from collector.journal import iter_lines

__all__ = ["draw_pilot", "write_whole"]


def draw_pilot(source: Path, prompts: int, seed: int, limit: int | None = None) -> bytes:
    """`prompts` rows of `source`, or of its first `limit`, as they stand, in random order: the first k of them are a
    random sample too, so that each rung is one. Memory holds these rows alone."""
    rng = random.Random(seed)
    drawn: list[bytes] = []
    for place, line in enumerate(iter_lines(source)):
        if limit is not None and place >= limit:
            break
        if len(drawn) < prompts:
            drawn.append(bytes(line.raw))
        elif (other := rng.randrange(place + 1)) < prompts:
            drawn[other] = bytes(line.raw)
    rng.shuffle(drawn)
    return b"".join(row.strip() + b"\n" for row in drawn)


def write_whole(path: Path, content: bytes) -> None:
    """Replaces `path` at once. Raises OutputError."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_bytes(content)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}; give another --output-dir") from None
