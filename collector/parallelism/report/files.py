"""The files that go beside a sweep's summary: levels.csv, report.md, report.html."""

from __future__ import annotations

import csv
import io

from collector.parallelism.intervals import Interval
from collector.parallelism.report.auto import auto_lines
from collector.parallelism.report.columns import COLUMNS, columns_of, table_rows
from collector.parallelism.report.page import page
from collector.parallelism.report.words import (
    advice,
    agreement_lines,
    facts_lines,
    flag_line,
    knee_lines,
    setting,
)
from collector.parallelism.summary import Summary

__all__ = ["csv_text", "markdown_text", "report_files"]

_ESCAPED = str.maketrans({mark: f"\\{mark}" for mark in "\\`*_[]<>|#"})


def report_files(summary: Summary) -> dict[str, bytes]:
    """Name -> content."""
    return {
        "levels.csv": csv_text(summary).encode(),
        "report.md": markdown_text(summary).encode(),
        "report.html": page(summary).encode(),
    }


def csv_text(summary: Summary) -> str:
    """One line a level, all columns, units as their names say; an empty cell is "not measured"."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    heads: list[str] = []
    for column in COLUMNS:
        heads.append(column.name)
        if any(isinstance(column.read(figures), Interval) for figures in summary.levels):
            heads += [f"{column.name}_low", f"{column.name}_high"]
    writer.writerow(heads)
    for figures in summary.levels:
        row: dict[str, float] = {}
        for column in COLUMNS:
            value = column.read(figures)
            if isinstance(value, Interval):
                named = {"": value.value, "_low": value.low, "_high": value.high}
                row |= {column.name + end: part for end, part in named.items()}
            elif value is not None:
                row[column.name] = value
        writer.writerow(f"{row[head]:.6g}" if head in row else "" for head in heads)
    return out.getvalue()


def markdown_text(summary: Summary) -> str:
    """The report as Markdown."""
    use = setting(summary)
    lines = ["# How many requests in flight", "", f"`{use}`" if use else "No recommendation.", "", _md(advice(summary))]
    lines += _section("Flags", [flag_line(flag) for flag in summary.flags] or ["none"])
    lines += ["", "## Levels", "", *_table(summary), "", "± is half of what holds 95% of the resamples."]
    if summary.auto:
        lines += _section("The limit that finds itself", list(auto_lines(summary.auto)))
    lines += _section("The knee, three ways", list(knee_lines(summary)))
    lines += _section("Quality beside speed", list(agreement_lines(summary)))
    lines += _section("How it was measured", list(facts_lines(summary)))
    return "\n".join(lines) + "\n"


def _section(head: str, texts: list[str]) -> list[str]:
    return ["", f"## {head}", "", *(f"- {_md(text)}" for text in texts)]


def _table(summary: Summary) -> list[str]:
    columns = columns_of(summary.levels)
    rows = [[column.head for column in columns], ["---:"] * len(columns)]
    rows += table_rows(summary, columns)
    return ["| " + " | ".join(row) + " |" for row in rows]


def _md(text: str) -> str:
    """Text without a meaning to Markdown: error classes and names come from servers."""
    return " ".join(text.translate(_ESCAPED).split())
