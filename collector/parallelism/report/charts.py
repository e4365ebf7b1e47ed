"""Line charts over the levels as inline SVG: no script, no font, no address; colours are the page's CSS variables.

The horizontal axis is the requests in flight, spaced by factors. A chart is readable with one level or with twelve: a
label that would touch the one before it is left out, and tells itself on its point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup, escape

from collector.parallelism.report.columns import number
from collector.parallelism.report.svg import text, tick, ticks

__all__ = ["Chart", "Mark", "Series", "draw"]

_WIDTH, _HEIGHT = 560, 300
_LEFT, _BOTTOM = 58, 44
_TOP, _TOP_WITH_MARKS = 16, 52
_RIGHT, _RIGHT_WITH_NAMES = 24, 88
_APART = 24
"""Pixels between the middles of two labels of the horizontal axis."""
_LINE = 14
_ROWS = 3


@dataclass(frozen=True, slots=True)
class Series:
    """`points`: (level, value, low, high), low and high None where there is no interval. `colour` is the number of a
    page's variable. `dashed` lines are models, and have no points of their own."""

    name: str
    points: Sequence[tuple[float, float, float | None, float | None]]
    colour: int = 1
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line at a level, with a word on it."""

    at: float
    name: str
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """`levels` are the ticks. `from_zero`: the vertical axis begins at 0, as it must where lengths are compared."""

    title: str
    unit: str
    levels: Sequence[int]
    series: Sequence[Series]
    marks: Sequence[Mark] = ()
    from_zero: bool = True
    note: str = ""
    limits: Sequence[float] = field(default=())
    """Values with a horizontal line of their own."""


class _Scales:
    """From levels and values to pixels."""

    def __init__(self, chart: Chart) -> None:
        self.first, self.last = math.log(min(chart.levels)), math.log(max(chart.levels))
        values = [
            value for series in chart.series for point in series.points for value in point[1:] if value is not None
        ]
        values += chart.limits
        low, high = min(values, default=0.0), max(values, default=1.0)
        self.ticks = ticks(0.0 if chart.from_zero else low, high)
        self.bottom, self.top = self.ticks[0], self.ticks[-1]
        self.ceiling = _TOP_WITH_MARKS if chart.marks else _TOP
        self.right = _WIDTH - (_RIGHT_WITH_NAMES if any(series.name for series in chart.series) else _RIGHT)

    def x(self, level: float) -> float:
        span = self.last - self.first
        share = (math.log(level) - self.first) / span if span else 0.5
        return _LEFT + share * (self.right - _LEFT)

    def y(self, value: float) -> float:
        share = (value - self.bottom) / (self.top - self.bottom)
        return _HEIGHT - _BOTTOM - min(1.0, max(0.0, share)) * (_HEIGHT - self.ceiling - _BOTTOM)


def draw(chart: Chart) -> Markup:
    """The chart as an SVG element."""
    scales = _Scales(chart)
    parts = [*_grid(chart, scales), *_marks(chart, scales)]
    for series in chart.series:
        parts += _series(series, scales, chart.unit)
    parts += _names(chart, scales)
    told = escape(f"{chart.title}, in {chart.unit}")
    head = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{told}"><title>{told}</title>'
    return Markup(head + "".join(parts) + "</svg>")  # noqa: S704 - every text in it is escaped where it is put


def _grid(chart: Chart, scales: _Scales) -> list[str]:
    right = scales.right
    parts = []
    for value in scales.ticks:
        y = scales.y(value)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(text(_LEFT - 8, y + 4, tick(value, scales.ticks), "tick", "end"))
    for value in chart.limits:
        y = scales.y(value)
        parts.append(f'<line class="limit" x1="{_LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
    parts += [
        text(scales.x(level), _HEIGHT - _BOTTOM + 18, str(level), "tick", "middle")
        for level in _by_weight(chart.levels, scales)
    ]
    parts.append(text((_LEFT + right) / 2, _HEIGHT - 8, "requests in flight", "tick", "middle"))
    return parts


def _by_weight(levels: Sequence[int], scales: _Scales) -> list[int]:
    """The levels whose labels have room: the ends first, powers of two before others."""
    ends = [levels[0], levels[-1]]
    others = sorted(levels[1:-1], key=lambda level: (level & (level - 1) != 0, level))
    kept: list[int] = []
    for level in dict.fromkeys([*ends, *others]):
        if all(abs(scales.x(level) - scales.x(other)) >= _APART for other in kept):
            kept.append(level)
    return kept


def _marks(chart: Chart, scales: _Scales) -> list[str]:
    """Vertical lines; each word stands on a row of its own."""
    parts: list[str] = []
    for row, mark in enumerate(sorted(chart.marks, key=lambda one: one.at)):
        x = scales.x(mark.at)
        kind = "mark strong" if mark.strong else "mark"
        y = 12 + (row % _ROWS) * _LINE
        parts.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{y + 4}" y2="{_HEIGHT - _BOTTOM}"/>')
        anchor = "end" if x > _WIDTH * 0.6 else "start" if x < _WIDTH * 0.3 else "middle"
        parts.append(text(x, y, mark.name, f"{kind} word", anchor))
    return parts


def _series(series: Series, scales: _Scales, unit: str) -> list[str]:
    places = [(scales.x(level), scales.y(value)) for level, value, _, _ in series.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    colour = f"c{series.colour}"
    parts = []
    banded = [(level, low, high) for level, _, low, high in series.points if low is not None and high is not None]
    if len(banded) > 1:
        upper = [f"{scales.x(level):.1f},{scales.y(high):.1f}" for level, _, high in banded]
        lower = [f"{scales.x(level):.1f},{scales.y(low):.1f}" for level, low, _ in reversed(banded)]
        parts.append(f'<polygon class="band {colour}" points="{" ".join(upper + lower)}"/>')
    for level, low, high in banded:
        x = scales.x(level)
        whisker = f'x1="{x:.1f}" x2="{x:.1f}" y1="{scales.y(low):.1f}" y2="{scales.y(high):.1f}"'
        parts.append(f'<line class="whisker {colour}" {whisker}/>')
    dashed = " dashed" if series.dashed else ""
    parts.append(f'<polyline class="line {colour}{dashed}" points="{path}"/>')
    if series.dashed:
        return parts
    for (x, y), (level, value, least, most) in zip(places, series.points, strict=True):
        between = "" if least is None or most is None else f" ({number(least)} to {number(most)})"
        told = escape(f"{series.name}, {level:g} in flight: {number(value)} {unit}{between}")
        parts.append(f'<circle class="dot {colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"><title>{told}</title></circle>')
    return parts


def _names(chart: Chart, scales: _Scales) -> list[str]:
    """The series' names at the ends of their lines, moved apart where they would touch."""
    ends = [(scales.y(series.points[-1][1]), series) for series in chart.series if series.points and series.name]
    ends.sort(key=lambda end: end[0])
    places = [y for y, _ in ends]
    for place in range(1, len(places)):
        places[place] = max(places[place], places[place - 1] + _LINE)
    over = max(0.0, places[-1] - (_HEIGHT - _BOTTOM)) if places else 0.0
    parts = []
    for y, (_, series) in zip(places, ends, strict=True):
        x = scales.x(series.points[-1][0])
        parts.append(text(x + 10, y - over + 4, series.name, f"name c{series.colour}", "start"))
    return parts
