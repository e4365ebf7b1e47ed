"""The flags of rollouts: what each says of its rollout, and what a run's summary advises."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["FLAGS", "flag_lines"]

FLAGS: Mapping[str, str] = {
    "truncated": "cut at the token limit: raise --max-output-tokens",
    "empty": "no text and no tool call in the answer",
    "refusal": "the model or its server refused",
    "content_filter": "cut by the server's content filter",
    "n_ignored": "the server gave fewer samples than one request asked for",
    "extra_choices": "the server gave more choices than asked for: those beyond are no rollouts",
    "identical": "the same text as another sample of their prompt",
    "tool_calls": "",
    "reasoning": "",
}
"""Every flag a rollout may have, in the order of a summary. Those without advice are nothing out of order."""


def flag_lines(counts: Mapping[str, int], rows: int) -> list[str]:
    """A line for each flag that something is to be said about, and one for all the others."""
    lines = [
        f"{name} {counts[name]} ({counts[name] / rows:.1%}): {advice}"
        for name, advice in FLAGS.items()
        if counts.get(name) and advice
    ]
    others = ", ".join(f"{name} {counts[name]}" for name, advice in FLAGS.items() if counts.get(name) and not advice)
    return [*lines, f"with {others}"] if others else lines
