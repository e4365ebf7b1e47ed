"""The capability table: what each target's records can hold, for the terminal and for docs/formats.md."""

from __future__ import annotations

from collections.abc import Iterator

from pairing.formats import FORMATS, Format

__all__ = ["HEADINGS", "capability_rows", "describe", "render_formats"]

HEADINGS = (
    "format",
    "several messages",
    "tools",
    "reasoning",
    "null content",
    "images",
    "several prompt turns",
    "same columns",
    "trained on",
)


def capability_rows() -> Iterator[tuple[str, ...]]:
    """One row of words for each format, in the order of the registry, under HEADINGS."""
    for name, target in FORMATS.items():
        holds = target.capabilities
        told = (
            holds.several_messages,
            holds.tools,
            holds.reasoning,
            holds.null_content,
            holds.parts or bool(holds.images),
            holds.conversation,
            holds.rectangular,
        )
        yield (name, *("yes" if yes else "no" for yes in told), holds.loss)


def render_formats() -> str:
    """The table for a terminal: short words, one line a format."""
    short = ("format", "several", "tools", "reasoning", "null", "images", "turns", "columns", "trained on")
    rows: list[tuple[str, ...]] = [short, *capability_rows()]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    lines = ("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def describe(target: Format) -> str:
    """One format: what its record is, what it cannot hold, where more is said."""
    told = " ".join((type(target).__doc__ or "").split())
    notes = target.capabilities.notes
    return "\n".join(
        [
            f"{target.name}: {told}",
            *([f"note: {notes}"] if notes else []),
            f"trained on: {target.capabilities.loss}",
            f"docs/formats.md#{target.name} has an example, the trainer's flags and its traps",
        ]
    )
