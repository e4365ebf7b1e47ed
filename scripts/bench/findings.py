"""What a part of the benchmark found: figures for people, beside their targets, and the same for programs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Figure", "Findings", "as_markdown", "as_text", "median", "spread"]

_HEAD = ("part", "what", "measured", "target", "met")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table. `most` and `least` are the bounds that `value` is held against; without one it stands for
    comparison. `note` follows the value: its spread, or what it was taken from."""

    what: str
    value: float
    unit: str
    most: float | None = None
    least: float | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the value keeps its bound; None when it has none."""
        if self.most is not None:
            return self.value <= self.most
        return None if self.least is None else self.value >= self.least

    def cells(self, part: str) -> tuple[str, ...]:
        """Its line of the table."""
        bound = "" if self.most is None else f"at most {_number(self.most)}{_unit(self.unit)}"
        bound = bound if self.least is None else f"at least {_number(self.least)}{_unit(self.unit)}"
        met = {True: "yes", False: "NO", None: ""}[self.met]
        note = f" ({self.note})" if self.note else ""
        return part, self.what, f"{_number(self.value)}{_unit(self.unit)}{note}", bound, met


@dataclass(frozen=True, slots=True)
class Findings:
    """A part's figures, and its raw numbers by name for the JSON line."""

    part: str
    figures: list[Figure] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)


def spread(values: Sequence[float]) -> str:
    """The smallest and the largest of several rounds."""
    return "one round" if len(values) == 1 else f"{_number(min(values))}-{_number(max(values))} in {len(values)} rounds"


def median(values: Iterable[float]) -> float:
    """Rounded so that the JSON line can be read."""
    return round(statistics.median(values), 4)


def as_text(findings: Findings) -> str:
    """Lines for the terminal."""
    rows = [figure.cells(findings.part) for figure in findings.figures]
    return "\n".join(
        f"{part:<8} {what:<58} {measured:<44} {bound:<18} {met}".rstrip() for part, what, measured, bound, met in rows
    )


def as_markdown(findings: Iterable[Findings]) -> str:
    """The table of docs/benchmarks.md."""
    rows = [figure.cells(found.part) for found in findings for figure in found.figures]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (_HEAD, ("---",) * len(_HEAD), *rows))


def _number(value: float) -> str:
    """Three digits that count, and whole numbers as they are."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _unit(unit: str) -> str:
    return f" {unit}" if unit else ""
