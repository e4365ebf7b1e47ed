"""Step lines over seconds as inline SVG, in the style of the charts over the levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from collector.parallelism.report.svg import text, tick, ticks

__all__ = ["Line", "Note", "Timeline", "draw_timeline"]

_WIDTH, _HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 72, 24, 44
_APART = 44
"""Pixels between two words on the plot."""


@dataclass(frozen=True, slots=True)
class Line:
    """`points`: (seconds, value), in order of time; each value holds until the next."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: int


@dataclass(frozen=True, slots=True)
class Note:
    """A dot; `word` stands above it where there is room, `told` is what it tells when it is pointed at."""

    at: float
    value: float
    word: str
    told: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """From 0 to `end` seconds; `span` is shaded."""

    title: str
    unit: str
    lines: Sequence[Line]
    notes: Sequence[Note]
    end: float
    span: tuple[float, float]


class _Scales:
    def __init__(self, timeline: Timeline) -> None:
        self.end = max(timeline.end, 1e-3)
        self.values = ticks(0.0, max((value for line in timeline.lines for _, value in line.points), default=1.0))
        self.times = [at for at in ticks(0.0, self.end) if at <= self.end]

    def x(self, at: float) -> float:
        return _LEFT + min(1.0, max(0.0, at / self.end)) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - min(1.0, max(0.0, value / self.values[-1])) * (_HEIGHT - _TOP - _BOTTOM)


def draw_timeline(timeline: Timeline) -> Markup:
    """The SVG element."""
    scales = _Scales(timeline)
    parts = _grid(timeline, scales)
    for line in timeline.lines:
        parts.append(f'<path class="line c{line.colour}" d="{_path(line, scales)}"/>')
    parts += [*_names(timeline, scales), *_notes(timeline, scales)]
    told = escape(f"{timeline.title}, in {timeline.unit}")
    head = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{told}"><title>{told}</title>'
    return Markup(head + "".join(parts) + "</svg>")  # noqa: S704 - every text in it is escaped where it is put


def _grid(timeline: Timeline, scales: _Scales) -> list[str]:
    left, right = (scales.x(at) for at in timeline.span)
    box = f'x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" height="{_HEIGHT - _TOP - _BOTTOM}"'
    parts = [f'<rect class="band c3" {box}/>']
    for value in scales.values:
        y = scales.y(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(text(_LEFT - 8, y + 4, tick(value, scales.values), "tick", "end"))
    shown = ticks(0.0, scales.end)
    parts += [text(scales.x(at), _HEIGHT - _BOTTOM + 18, tick(at, shown), "tick", "middle") for at in scales.times]
    parts.append(text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, "seconds", "tick", "middle"))
    return parts


def _path(line: Line, scales: _Scales) -> str:
    """Level until the next point, then up or down to it; level to the end."""
    (first, value), *others = line.points
    parts = [f"M{scales.x(first):.1f},{scales.y(value):.1f}"]
    for at, after in others:
        parts.append(f"H{scales.x(at):.1f}V{scales.y(after):.1f}")
    return "".join([*parts, f"H{scales.x(scales.end):.1f}"])


def _names(timeline: Timeline, scales: _Scales) -> list[str]:
    """At the ends of the lines, moved apart where they would touch."""
    ends = sorted((scales.y(line.points[-1][1]), line.colour, line.name) for line in timeline.lines)
    parts, last = [], float("-inf")
    for y, colour, name in ends:
        last = max(y, last + 14)
        parts.append(text(_WIDTH - _RIGHT + 8, last + 4, name, f"name c{colour}", "start"))
    return parts


def _notes(timeline: Timeline, scales: _Scales) -> list[str]:
    parts, last = [], float("-inf")
    for note in timeline.notes:
        x, y = scales.x(note.at), scales.y(note.value)
        told = escape(note.told)
        parts.append(f'<circle class="dot c1" cx="{x:.1f}" cy="{y:.1f}" r="3.5"><title>{told}</title></circle>')
        if note.word and x - last >= _APART:
            parts.append(text(x, max(12.0, y - 10), note.word, "mark word", "middle"))
            last = x
    return parts
