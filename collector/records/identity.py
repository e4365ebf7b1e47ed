"""Identities that outlive a run: the prompt's content hash and the seed of a repeat."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

__all__ = ["derive_seed", "prompt_id_of"]

_ODD_STEP = 0x9E3779B1


def prompt_id_of(
    messages: Sequence[Mapping[str, Any]], tools: object = None, row: Mapping[str, Any] | None = None
) -> str:
    """16 hex digits of the SHA-256 of the prompt's canonical JSON: its Chat messages, and its tools when it has any.

    `row` are the source row's fields where the messages ask nothing, because an agent makes the prompt out of them:
    they count too then, save the request, NeMo Gym's own `_ng_` fields and the agent's name.

    Two rows with the same prompt have the same id, whichever form they were written in and whatever else they carry.
    Sampling parameters are no part of it: the same prompt at another temperature is the same prompt.
    """
    canonical: dict[str, Any] = {"messages": list(messages)}
    if tools:
        canonical["tools"] = tools
    if row is not None:
        canonical["row"] = {key: value for key, value in row.items() if not _is_frame(key)}
    return hashlib.sha256(orjson.dumps(canonical, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def _is_frame(name: str) -> bool:
    """Whether a row's field says who is asked and how, and nothing of what is asked."""
    return name in ("responses_create_params", "agent_ref") or name.startswith("_ng_")


def derive_seed(run_seed: int, prompt_id: str, task_index: int, rollout_index: int) -> int:
    """A seed in [0, 2**31) for one repeat: stable, and distinct among the repeats of a prompt.

    The task index is part of it so that a prompt that stands twice in the input gives new samples, not the same ones
    again. 31 bits, because some servers read the seed as a signed 32-bit integer. Repeats walk from the prompt's base
    by an odd step, which visits each value once: two repeats of a prompt can never share a seed, as two hashes could.
    """
    source = f"{run_seed}/{prompt_id}/{task_index}".encode()
    base = int.from_bytes(hashlib.blake2b(source, digest_size=8).digest(), "big")
    return (base + rollout_index * _ODD_STEP) % 2**31
