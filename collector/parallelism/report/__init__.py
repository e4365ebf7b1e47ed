"""A sweep's summary for people: a table, CSV, Markdown, one self-contained page."""

from __future__ import annotations

from collector.parallelism.report.files import report_files
from collector.parallelism.report.text import terminal_text

__all__ = ["report_files", "terminal_text"]
