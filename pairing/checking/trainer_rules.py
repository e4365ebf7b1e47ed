"""The rules of single trainers: what their loaders do to a row that looks right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pairing.checking.layouts import Note, View
from pairing.formats.axolotl import is_template_text

__all__ = ["TRAINER_RULES", "Neighbours", "as_chosen_rejected"]

Rule = Callable[[Mapping[str, Any], View], Iterator[Note]]
_MS_SWIFT_SIDES = ("rejected_", "positive_", "negative_")
_MS_SWIFT_KNOWN = frozenset({"rejected_response", "rejected_messages", "rejected_images", "rejected_tools"})
_SERVICE_KEYS = frozenset({"input", "preferred_output", "non_preferred_output"})


def as_chosen_rejected(row: Mapping[str, Any], target: str) -> Mapping[str, Any]:
    """A row whose sides stand in a list or under either of two names, with keys of their own."""
    if target == "nemo-rl":
        completions = row.get("completions")
        if isinstance(completions, list) and len(completions) == 2 and all(isinstance(c, dict) for c in completions):
            ranked = sorted(completions, key=lambda c: c["rank"] if isinstance(c.get("rank"), int) else 0)
            return {**row, "chosen": ranked[0].get("completion"), "rejected": ranked[1].get("completion")}
    if target == "ms-swift" and row.get("rejected_response") is None and row.get("rejected_messages") is not None:
        return {**row, "rejected_response": row["rejected_messages"]}
    return row


def _nemo_rl(row: Mapping[str, Any], view: View) -> Iterator[Note]:
    if "task_name" in row:
        yield Note("task_name", "")
    completions = row.get("completions")
    if not isinstance(completions, list) or len(completions) != 2:
        yield Note("not_two", f"{len(completions)}" if isinstance(completions, list) else "")
        return
    ranks = [c.get("rank") if isinstance(c, dict) else None for c in completions]
    if ranks[0] == ranks[1]:
        yield Note("equal_ranks", f"both {ranks[0]}")


def _axolotl(row: Mapping[str, Any], view: View) -> Iterator[Note]:
    for name, side in view.sides:
        message = side[-1] if side else None
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(message, dict) or not isinstance(content, str):
            continue
        if not content and message.get("tool_calls"):
            yield Note("empty_content_calls", name)
        elif content.strip() and content != content.strip():
            yield Note("spaced_ends", name)
        elif content and is_template_text(content):
            yield Note("template_text", f"{name} is {content[:40]!r}")


def _llama_factory(row: Mapping[str, Any], view: View) -> Iterator[Note]:
    turns = row.get("conversations")
    roles = [m.get("from") if isinstance(m, dict) else None for m in turns] if isinstance(turns, list) else []
    if roles[:1] == ["system"]:
        roles = roles[1:]
    wanted = (("human", "observation"), ("gpt", "function_call"))
    wrong = [place for place, role in enumerate(roles) if role not in wanted[place % 2]]
    if wrong:
        yield Note("alternation", f"turn {wrong[0] + 1} is {roles[wrong[0]]}")
    elif roles and len(roles) % 2 == 0:
        yield Note("even_turns", f"{len(roles)}")


def _ms_swift(row: Mapping[str, Any], view: View) -> Iterator[Note]:
    for key in row:
        if key.startswith(_MS_SWIFT_SIDES) and key not in _MS_SWIFT_KNOWN:
            yield Note("side_prefix", key)
    answer = view.chosen[-1:] if view.chosen else None
    if isinstance(row.get("rejected_response"), str) and answer == view.rejected:
        yield Note("identical_sides", "")
    yield from _systems(view.chosen or [])


def _one_prompt(row: Mapping[str, Any], view: View) -> Iterator[Note]:
    if view.chosen and view.rejected and view.chosen[:-1] != view.rejected[:-1]:
        yield Note("prompt_differs", "")
    if view.chosen and len(view.chosen) < 2:
        yield Note("empty_prompt", "")


def _implicit(row: Mapping[str, Any], view: View) -> Iterator[Note]:
    for one, other in zip((view.chosen or [])[:-1], view.rejected or [], strict=False):
        if one != other:
            return
        if isinstance(one, dict) and one.get("role") == "assistant":
            yield Note("shared_start", "")
            return


def _kto(row: Mapping[str, Any], view: View) -> Iterator[Note]:
    if "label" not in row:
        yield Note("missing_key", "label")
    elif not isinstance(row["label"], bool):
        yield Note("label_not_bool", "")


def _service(row: Mapping[str, Any], view: View) -> Iterator[Note]:
    for key in row.keys() - _SERVICE_KEYS:
        yield Note("unknown_key", key)
    for name, side in view.sides:
        if any(isinstance(m, dict) and m.get("tool_calls") for m in side):
            yield Note("tools_unsupported", f"{name}.tool_calls")


def _aligner(row: Mapping[str, Any], view: View) -> Iterator[Note]:
    kinds = {type(row.get(key)) is str for key in ("prompt", "chosen_response", "rejected_response")}
    if len(kinds) > 1:
        yield Note("wrong_type", "prompt and responses are not all text or all messages")
    yield from _systems(view.prompt or [])


def _systems(messages: list[Any]) -> Iterator[Note]:
    if any(isinstance(m, dict) and m.get("role") == "system" for m in messages[1:]):
        yield Note("several_systems", "")


TRAINER_RULES: Mapping[str, Rule] = {
    "axolotl": _axolotl,
    "fireworks": _service,
    "llama-factory": _llama_factory,
    "ms-swift": _ms_swift,
    "nemo-aligner": _aligner,
    "nemo-rl": _nemo_rl,
    "open-instruct": _one_prompt,
    "openai": _service,
    "together": _service,
    "torchtune": _one_prompt,
    "trl-implicit": _implicit,
    "trl-kto": _kto,
}


class Neighbours:
    """KTO: tells when a row has the prompt of the row before it."""

    def __init__(self) -> None:
        self._before: list[Any] | None = None

    def notes(self, view: View) -> Iterator[Note]:
        """Call it for each row, in order."""
        if view.prompt is not None and view.prompt == self._before:
            yield Note("neighbours", "")
        self._before = view.prompt
