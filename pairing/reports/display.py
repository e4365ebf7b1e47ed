"""The report for a terminal: the funnel as a table, and a pair in two columns. Plain text, no colour.

Model text is hostile: what could move the cursor, colour, or reorder a line is taken out before it is shown.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from itertools import zip_longest

from collector.terminal import plain
from pairing.reports.columns import columns
from pairing.reports.funnel import REASONS, PairReport, SamplePair
from pairing.reports.numbers import rounded
from pairing.strategies.auto import Auto

__all__ = ["render_funnel", "side_by_side"]

_GUTTER = " | "
_MAX_LINES = 20


def render_funnel(report: PairReport) -> str:
    """The funnel as a table: every stage with its count, every reason with its count and meaning under it."""
    rows = [
        *_stage("lines", report.lines, {"broken": report.broken} | dict(report.line_drops)),
        *_stage("rollouts", report.rollouts, {"duplicates": report.duplicates} | dict(report.sample_drops)),
        ("  usable", report.usable, _reward_note(report)),
        *_stage("prompts", report.groups, report.group_drops),
        ("  with a pair", report.paired, f"{report.pair_yield:.1%} of prompts"),
        *_extra_pairs(report),
        *((f"  ~ {name}", count, REASONS[name]) for name, count in sorted(report.adapted.items())),
        ("pairs", report.pairs, f"mean gap {rounded(report.gaps.mean)}" if report.pairs else "none"),
        *_rules(report),
    ]
    name_width = max(len(name) for name, _, _ in rows)
    count_width = max(len(f"{count:,}") for _, count, _ in rows)
    lines = [f"{name:<{name_width}}  {count:>{count_width},}  {note}".rstrip() for name, count, note in rows]
    return "\n".join(lines + list(_broken_lines(report)))


def side_by_side(pair: SamplePair, width: int = 100) -> str:
    """The prompt over the chosen and the rejected answer in two columns, at most `width` columns and some 20 lines
    each, but never under 60. Wide characters count as two."""
    width = max(width, 60)
    column = (width - len(_GUTTER)) // 2
    left = [f"chosen, reward {pair.chosen_reward:.3g}", "", *_wrapped(pair.chosen, column)]
    right = [f"rejected, reward {pair.rejected_reward:.3g}", "", *_wrapped(pair.rejected, column)]
    heading = f"prompt {plain(pair.prompt_id)}, gap {pair.gap:.3g}"
    lines = [heading, *(f"  {line}" for line in _wrapped(pair.prompt, width - 2)), "-" * width]
    for one, other in zip_longest(left, right, fillvalue=""):
        lines.append(f"{one}{' ' * (column - columns(one))}{_GUTTER}{other}".rstrip())
    return "\n".join(lines)


def _stage(name: str, count: int, drops: Mapping[str, int]) -> Iterator[tuple[str, int, str]]:
    yield name, count, ""
    for reason, dropped in sorted(drops.items(), key=lambda item: (-item[1], item[0])):
        if dropped:
            yield f"  - {reason}", dropped, REASONS.get(reason, "")


def _extra_pairs(report: PairReport) -> Iterator[tuple[str, int, str]]:
    """Picked and refused pairs, where that says more than the prompts do."""
    if report.picked > report.paired + sum(report.pair_drops.values()):
        yield from _stage("picked pairs", report.picked, report.pair_drops)


def _rules(report: PairReport) -> Iterator[tuple[str, int, str]]:
    """Which rule picked how many, where the strategy left it to several."""
    if report.picked_by.keys() - {report.strategy}:
        for name, count in sorted(report.picked_by.items(), key=lambda item: (-item[1], item[0])):
            yield f"  by {name}", count, Auto.why.get(name, "")


def _reward_note(report: PairReport) -> str:
    if not report.usable:
        return ""
    rewards = report.rewards
    cut = f"; {report.truncated:,} truncated" if report.truncated else ""
    ends = f"{rewards.minimum:g} to {rewards.maximum:g}"
    return f"reward mean {rounded(rewards.mean)}, std {rounded(rewards.std)}, {ends}{cut}"


def _broken_lines(report: PairReport) -> Iterator[str]:
    for shown in report.broken_shown:
        yield f"broken: {plain(shown)}"
    more = report.broken - len(report.broken_shown)
    if more:
        yield f"broken: and {more:,} more"


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns; a long text is cut, and says so."""
    lines: list[str] = []
    text = text.strip()
    shown = text[: _MAX_LINES * width * 4]  # more than fits: wrapping takes time, and answers may be megabytes
    for paragraph in plain(shown, newlines=True).strip().split("\n"):
        for line in textwrap.wrap(paragraph, width) or [""]:
            lines.extend(_fitted(line, width))
        if len(lines) > _MAX_LINES:
            break
    whole = len(lines) <= _MAX_LINES and len(shown) == len(text)
    return lines if whole else [*lines[:_MAX_LINES], "[...]"]


def _fitted(line: str, width: int) -> Iterator[str]:
    """`line` in pieces of at most `width` columns, for text whose characters take two."""
    piece, used = "", 0
    for char in line:
        if used + columns(char) > width:
            yield piece
            piece, used = "", 0
        piece += char
        used += columns(char)
    yield piece
