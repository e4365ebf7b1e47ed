"""The reference script's own record: prompt, chosen, rejected, reward_gap. Bytes of the row, spliced, not rewritten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import orjson

from pairing.formats.base import Capabilities, Format
from pairing.messages import answer, plain_answer, prompt
from pairing.pairs import Pair
from pairing.reading.rollouts import Rollout, dumps, loads, present, prompt_raw

__all__ = ["Recipe"]


class Recipe(Format):
    """`{"prompt": responses_create_params.input, "chosen": output, "rejected": output, "reward_gap": gap}`.

    NeMo Gym's rows have no `output`: their `response.output` becomes messages. A row with `instructions` has its
    prompt as messages, the instructions in front, where the script would lose them.
    """

    name: ClassVar[str] = "recipe"
    verbatim: ClassVar[bool] = True
    settled: ClassVar[frozenset[str]] = frozenset()
    capabilities: ClassVar[Capabilities] = Capabilities(
        several_messages=True,
        tools=False,
        reasoning=True,
        parts=True,
        rectangular=False,
        loss="the reader decides",
        notes="prompt is a string or a list, as in the row; tool definitions stay in the rollouts file",
        splits=False,
        as_it_came=True,
    )

    def record(self, pair: Pair) -> bytes:
        return _line(_prompt(pair.chosen), _answer(pair.chosen), _answer(pair.rejected), pair.gap)

    def splice(self, prompt: bytes, chosen: bytes, rejected: bytes, meta: Mapping[str, Any]) -> bytes | None:
        return None if _escapes_surrogates(prompt) else _line(prompt, chosen, rejected, meta["reward_gap"])

    def columns(self, record: Any) -> frozenset[str]:
        return frozenset()

    def encode(self, record: Any, columns: frozenset[str]) -> bytes:
        line: bytes = record
        return line


def _line(prompt: bytes, chosen: bytes, rejected: bytes, gap: float) -> bytes:
    return b'{"prompt":%b,"chosen":%b,"rejected":%b,"reward_gap":%b}' % (prompt, chosen, rejected, orjson.dumps(gap))


def _escapes_surrogates(own: bytes) -> bool:
    return b"\\" in own and (b"\\ud" in own or b"\\uD" in own)


def _prompt(rollout: Rollout) -> bytes:
    params = rollout.row.params
    if params is not None and present(params.instructions):
        return dumps(prompt(rollout))
    own = bytes(prompt_raw(rollout.row))
    if _escapes_surrogates(own):
        return dumps(loads(prompt_raw(rollout.row)))  # it may hold half a surrogate pair
    return own


def _answer(rollout: Rollout) -> bytes:
    plain = plain_answer(rollout)
    if plain is not None:
        return plain
    messages = answer(rollout)
    own = bytes(rollout.row.output)
    return own if own.startswith(b"[") and not rollout.mended else dumps(messages)
