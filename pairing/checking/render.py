"""What a check found, as text that is safe to print."""

from __future__ import annotations

from collections.abc import Iterator

from collector.terminal import plain
from pairing.checking.checker import CheckReport
from pairing.checking.problems import PROBLEMS

__all__ = ["render_check"]

_DETAIL = 100


def render_check(report: CheckReport) -> str:
    """The report as text, safe to print: problems by how often they come, those that are wrong first."""
    return "\n".join(_lines(report))


def _lines(report: CheckReport) -> Iterator[str]:
    told = f" (told from {report.told_by}; --target NAME for another)" if report.told_by else ""
    yield f"{plain(str(report.path))}: {report.rows:,} rows, target {report.target}{told}"
    order = sorted(report.counts.items(), key=lambda item: (not PROBLEMS[item[0]].wrong, -item[1], item[0]))
    for name, count in order:
        problem = PROBLEMS[name]
        yield f"\n{name}: {count:,}{'' if problem.wrong else ' (no error)'}"
        yield f"  {problem.sentence}"
        yield f"  do: {problem.remedy}"
        shown = report.shown[name]
        for number, detail in shown:
            where = "file" if number is None else f"line {number:,}"
            text = plain(detail)[:_DETAIL]
            yield f"  {where}{f': {text}' if text else ''}"
        if count > len(shown) > 0:
            yield f"  and {count - len(shown):,} more"
    yield ""
    if report.wrong:
        lines = report.rows + report.unreadable
        yield f"{report.lines_wrong:,} of {lines:,} lines have something wrong for {report.target}"
    else:
        yield f"nothing wrong for {report.target}"
