"""The types of a record's columns: a type, [items], or {field: shape}. Rows are brought into such a shape, and Parquet
schemas and dataset cards are made of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

__all__ = [
    "META",
    "TOOL_CALLS",
    "TURNS",
    "TURN_KEYS",
    "arrow_name",
    "conformed",
    "pruned",
    "turn_columns",
    "turns_shape",
]

META: dict[str, Any] = {
    "prompt_id": str,
    "task_index": int,
    "chosen_reward": float,
    "rejected_reward": float,
    "reward_gap": float,
    "chosen_rollout_index": int,
    "rejected_rollout_index": int,
    "chosen_length": int,
    "rejected_length": int,
    "strategy": str,
}
"""What `Pair.meta` gives; a test holds them equal."""

TOOL_CALLS: list[Any] = [{"id": str, "type": str, "function": {"name": str, "arguments": str}}]
TURN_KEYS = ("tool_calls", "tool_call_id", "name", "reasoning_content")
"""What a message may have besides role and content. Each is a column of its own: on all messages of a list in the whole
file, or on none."""


def turns_shape(optional: Iterable[str] = ()) -> list[Any]:
    """A list of messages with these keys besides role and content."""
    return [{"role": str, "content": str} | {key: TOOL_CALLS if key == "tool_calls" else str for key in optional}]


TURNS = turns_shape(TURN_KEYS)


def turn_columns(value: Any, shape: Any, path: str) -> Iterator[str]:
    """The optional keys that the messages somewhere in `value` use, each as `path.key`."""
    if isinstance(shape, list):
        for item in value:
            yield from turn_columns(item, shape[0], path)
    elif isinstance(shape, dict) and "role" in shape:
        yield from (f"{path}.{key}" for key in TURN_KEYS if key in value and key in shape)
    elif isinstance(shape, dict):
        for key, inner in shape.items():
            if key in value:
                yield from turn_columns(value[key], inner, f"{path}.{key}")


def pruned(shape: Any, columns: frozenset[str], path: str) -> Any:
    """`shape` with only those optional keys of messages that `columns` names."""
    if isinstance(shape, list):
        return [pruned(shape[0], columns, path)]
    if isinstance(shape, dict) and "role" in shape:
        return {key: kind for key, kind in shape.items() if key not in TURN_KEYS or f"{path}.{key}" in columns}
    if isinstance(shape, dict):
        return {key: pruned(kind, columns, f"{path}.{key}") for key, kind in shape.items()}
    return shape


def conformed(value: Any, shape: Any) -> Any:
    """`value` with exactly the fields of `shape`, in its order; null where it has none."""
    if value is None:
        return None
    if isinstance(shape, list):
        return [conformed(item, shape[0]) for item in value]
    if isinstance(shape, dict):
        return {key: conformed(value.get(key), kind) for key, kind in shape.items()}
    return value


def arrow_name(kind: type) -> str:
    """The name that Arrow and HF datasets have for a type."""
    return {str: "string", int: "int64", float: "float64", bool: "bool"}[kind]
