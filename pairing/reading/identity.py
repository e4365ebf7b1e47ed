"""Which prompt a row answers: the collector's own id, or the same id worked out from the prompt's content.

An index alone is no identity: NeMo Gym's environments may deal another prompt to each repeat of a task, and two files
count their tasks from 0 both. A pair across two prompts is worse than no pair, so content always has its say.
"""

from __future__ import annotations

import hashlib
import json
import re

from collector.records.identity import prompt_id_of
from collector.records.messages import prompt_messages
from pairing.reading.rollouts import Row, loads, present, prompt_raw, tools_raw

__all__ = ["PromptIds", "is_ours", "same_prompt"]

_OURS = re.compile(r"[0-9a-f]{16}")
_REMEMBERED = 8192
_SHORT = 4
"""Bytes: no longer may be null."""


def is_ours(prompt_id: str) -> bool:
    """True when it has the form of the collector's ids."""
    return _OURS.fullmatch(prompt_id) is not None


class PromptIds:
    """Prompt ids of rows; the last few thousand are remembered, so that a prompt is decoded once for its group."""

    def __init__(self) -> None:
        self._known: dict[bytes, str | None] = {}
        self.ours: str | None = None
        """The id of our own that was seen last: a row with a prompt and this id needs no second look."""
        self._last: tuple[bytes, str | None] = (b"", None)

    def of(self, row: Row) -> str | None:
        """16 hex digits, the same for the same prompt in whichever form it is written; None when the row has none."""
        if not present(prompt_raw(row)):
            return None
        given = row.prompt_id
        if given is not None and (given == self.ours or is_ours(given)):
            self.ours = given
            return given
        source = _source(row)
        if source != self._last[0]:
            self._last = (source, self._remembered(source, row))
        return self._last[1]

    def _remembered(self, source: bytes, row: Row) -> str | None:
        digest = hashlib.blake2b(source, digest_size=16).digest()
        if digest not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[digest] = _content_id(row)
        return self._known[digest]


def same_prompt(one: Row, other: Row) -> bool:
    """True when both rows hold the same prompt, whatever ids they carry: another writer's `prompt_id` may look like
    ours and mean a conversation, or a data set."""
    mine, theirs = one.params, other.params
    if (
        mine is not None
        and theirs is not None
        and len(mine.input) > _SHORT
        and not (len(mine.tools) or len(theirs.tools) or len(mine.instructions) or len(theirs.instructions))
        and not (len(one.tools) or len(other.tools))
        and bytes(mine.input) == bytes(theirs.input)
    ):
        return True  # what nearly all rows come to, without a copy of their tools
    return _source(one) == _source(other) or _content_id(one) == _content_id(other)


def _source(row: Row) -> bytes:
    """The bytes that make the prompt."""
    instructions = b"" if row.params is None else bytes(row.params.instructions)
    return b"\n".join((bytes(prompt_raw(row)), instructions, bytes(tools_raw(row))))


def _content_id(row: Row) -> str | None:
    prompt = loads(prompt_raw(row))
    if not isinstance(prompt, str | list) or not prompt:
        return None
    instructions = None
    if row.params is not None and present(row.params.instructions):
        instructions = loads(row.params.instructions)
    offered = tools_raw(row)
    tools = loads(offered) if present(offered) else None
    messages = prompt_messages(prompt, instructions if isinstance(instructions, str) else None)
    try:
        return prompt_id_of(messages, tools)
    except TypeError:
        # A number beyond 64 bits: the canonical JSON of the stream has no such thing, any stable hash will do.
        canonical = json.dumps([messages, tools], sort_keys=True)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]
