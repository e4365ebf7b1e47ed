"""The summary for the terminal: a table, the flags, where the files are, and last the setting to use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from collector.parallelism.report.auto import auto_lines
from collector.parallelism.report.columns import columns_of, table_rows
from collector.parallelism.report.words import advice, agreement_lines, flag_line, knee_lines, setting
from collector.parallelism.summary import Summary

__all__ = ["table_text", "terminal_text"]


def terminal_text(summary: Summary, folder: Path, encoding: str = "utf-8") -> str:
    """Lines for a terminal of that encoding, not yet made safe for it."""
    *knees, together = knee_lines(summary)
    blocks = (
        [table_text(summary)],
        [f"flag: {flag_line(flag)}" for flag in summary.flags],
        [*(f"knee by {line}" for line in knees), together],
        list(agreement_lines(summary)),
        list(auto_lines(summary.auto, encoding)) if summary.auto else [],
        [advice(summary), f"{folder / 'report.html'}: all figures, with plots"],
    )
    parts = ["\n\n".join("\n".join(block) for block in blocks if block)]
    use = setting(summary)
    return "\n".join([*parts, use] if use else parts)


def table_text(summary: Summary) -> str:
    """The short table, right-aligned, without intervals."""
    columns = columns_of(summary.levels, short=True)
    return _aligned([[column.head for column in columns], *table_rows(summary, columns, interval=False)])


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
