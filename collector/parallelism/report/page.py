"""report.html: one page that needs nothing beside itself, light or dark as its reader's system is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from collector.parallelism.figures import LevelFigures
from collector.parallelism.intervals import Interval
from collector.parallelism.report.auto import auto_lines, auto_plots
from collector.parallelism.report.charts import Chart, Mark, Series, draw
from collector.parallelism.report.columns import columns_of, table_rows
from collector.parallelism.report.words import (
    advice,
    agreement_lines,
    facts_lines,
    flag_line,
    knee_lines,
    setting,
)
from collector.parallelism.summary import Summary

__all__ = ["page"]

_ABOUT = (
    "model",
    "endpoint",
    "protocol",
    "input",
    "prompts",
    "repeats",
    "pairs",
    "cache",
    "began",
    "ended",
    "pairmill",
)
_CURVE = 60
"""Points of a model's curve."""
_BUSY = 85.0
_QUALITY = "Load should not change it; slower levels saw fewer prompts. The axis does not begin at 0."

Point = tuple[float, float, float | None, float | None]
Line = tuple[str, int, Callable[[LevelFigures], float | Interval | None], float]
"""A series' name, colour, figure and scale."""


@dataclass(frozen=True, slots=True)
class _Plot:
    title: str
    unit: str
    lines: Sequence[Line]
    note: str = ""
    from_zero: bool = True
    limits: Sequence[float] = ()


_PLOTS = (
    _Plot(
        "Latency",
        "ms",
        [("p50", 1, lambda f: f.p50, 1000), ("p90", 2, lambda f: f.p90, 1000), ("p99", 3, lambda f: f.p99, 1000)],
        "From the request to its whole reply, of what ended in the window.",
    ),
    _Plot(
        "Usable pairs",
        "pairs/s",
        [("", 1, lambda f: f.pairs_per_s, 1)],
        "As pairmill pair would make them, by its rules.",
    ),
    _Plot(
        "Yield",
        "usable pairs per million output tokens",
        [("", 1, lambda f: f.pairs_per_million_tokens, 1)],
        _QUALITY,
        from_zero=False,
    ),
    _Plot("Reward", "mean reward", [("", 1, lambda f: f.reward, 1)], _QUALITY, from_zero=False),
    _Plot("Output tokens", "tokens/s", [("", 1, lambda f: f.tokens_per_s, 1)]),
    _Plot(
        "The server's word",
        "requests",
        [("running", 1, lambda f: f.running, 1), ("waiting", 2, lambda f: f.waiting, 1)],
        "Its own metrics, the mean of a few readings a second.",
    ),
    _Plot(
        "The client",
        "% of a core",
        [("", 1, lambda f: f.client_cpu, 100)],
        f"Above {_BUSY:.0f}% (dashed) the client itself may be the bottleneck.",
        limits=(_BUSY,),
    ),
)


def page(summary: Summary) -> str:
    """The HTML. Every text in it is escaped."""
    columns = columns_of(summary.levels)
    best = summary.recommendation.level if summary.recommendation else None
    rows = [{"best": cells[0] == str(best), "cells": cells} for cells in table_rows(summary, columns)]
    auto = summary.auto
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.jinja").render(
        setting=setting(summary),
        advice=advice(summary),
        about=list(_about(summary)),
        flags=[{"grave": flag.grave, "text": flag_line(flag)} for flag in summary.flags],
        charts=[
            {"svg": draw(chart), "title": chart.title, "unit": chart.unit, "note": chart.note}
            for chart in _charts(summary)
            if chart.series
        ],
        heads=[column.head for column in columns],
        rows=rows,
        auto=list(auto_lines(auto)) if auto else [],
        auto_charts=[{"title": title, "svg": svg, "note": note} for title, svg, note in auto_plots(auto)]
        if auto
        else [],
        knees=list(knee_lines(summary)),
        agreement=list(agreement_lines(summary)),
        facts=list(facts_lines(summary)),
    )


def _about(summary: Summary) -> Iterator[tuple[str, Any]]:
    facts = summary.facts
    for name in _ABOUT:
        if facts.get(name):
            yield name, facts[name]


def _charts(summary: Summary) -> Iterator[Chart]:
    levels = [figures.level for figures in summary.levels]
    law = " Dashed: the scalability law, fitted." if summary.law else ""
    yield Chart(
        "Throughput",
        "rollouts/s",
        levels,
        _throughput(summary),
        marks=_knees(summary),
        note=f"Band and whiskers: 95% of the resamples.{law}",
    )
    for plot in _PLOTS:
        series = _some(summary, plot.lines)
        yield Chart(plot.title, plot.unit, levels, series, from_zero=plot.from_zero, note=plot.note, limits=plot.limits)


def _some(summary: Summary, wanted: Sequence[Line]) -> list[Series]:
    """A series for each (name, colour, figure, scale) that was measured."""
    series = []
    for name, colour, read, scale in wanted:
        points = [point for figures in summary.levels if (point := _point(figures.level, read(figures), scale))]
        if points:
            series.append(Series(name, points, colour))
    return series


def _point(level: int, value: float | Interval | None, scale: float) -> Point | None:
    if value is None:
        return None
    if isinstance(value, Interval):
        return level, value.value * scale, value.low * scale, value.high * scale
    return level, value * scale, None, None


def _throughput(summary: Summary) -> list[Series]:
    measured = _some(summary, [("measured", 1, lambda f: f.rollouts_per_s, 1)])
    law = summary.law
    if law is None:
        return measured
    first, last = summary.levels[0].level, summary.levels[-1].level
    steps = (first * (last / first) ** (place / _CURVE) for place in range(_CURVE + 1))
    return [Series("law", [(level, law.at(level), None, None) for level in steps], 3, dashed=True), *measured]


def _knees(summary: Summary) -> list[Mark]:
    marks = []
    if summary.auto and summary.levels[0].level <= summary.auto.settled <= summary.levels[-1].level:
        marks.append(Mark(summary.auto.settled, f"auto {summary.auto.settled:.0f}"))
    if summary.recommendation:
        marks.append(Mark(summary.recommendation.level, f"use {summary.recommendation.level}", strong=True))
    if summary.segments:
        marks.append(Mark(summary.segments.knee, f"segments {summary.segments.knee:.0f}"))
    if summary.law:
        marks.append(Mark(summary.law.knee, f"law {summary.law.knee}"))
    return marks
