"""A histogram as lines of a terminal: label, bar, count, share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pairing.stats.histogram import Bar

__all__ = ["draws_blocks", "render_bars"]

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_LEAST = 10
_AROUND = 2 + 2 + 2 + 1 + len("100.0%")
"""Columns of a line beside its label, bar and count."""


def draws_blocks(encoding: str | None) -> bool:
    """Whether text in this encoding can hold the blocks that bars are drawn with."""
    try:
        _EIGHTHS.encode(encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def render_bars(bars: Sequence[Bar], width: int, *, blocks: bool) -> Iterator[str]:
    """Lines of at most `width` columns (but 40 at least), the longest bar as long as fits. A bar that is not empty
    shows something; '#' stands for it where `blocks` are not to be had."""
    if not bars:
        return
    total, highest = sum(bar.count for bar in bars), max(bar.count for bar in bars)
    labels = _labels(bars)
    counts = [f"{bar.count:,}" for bar in bars]
    label_width, count_width = max(map(len, labels)), max(map(len, counts))
    room = max(width - label_width - count_width - _AROUND, _LEAST)
    for bar, label, count in zip(bars, labels, counts, strict=True):
        drawn = _drawn(bar.count / highest, room, blocks)
        yield f"  {label:>{label_width}}  {drawn:<{room}}  {count:>{count_width}} {bar.count / total:>6.1%}"


def _labels(bars: Sequence[Bar]) -> list[str]:
    """Their edges, with the fewest digits that tell them apart."""
    edges = {edge for bar in bars for edge in (bar.low, bar.high)}
    digits = next((n for n in range(1, 17) if len({f"{edge:.{n}g}" for edge in edges}) == len(edges)), 17)
    return [
        f"{bar.low:.{digits}g}" if bar.low == bar.high else f"{bar.low:.{digits}g} to {bar.high:.{digits}g}"
        for bar in bars
    ]


def _drawn(share: float, room: int, blocks: bool) -> str:
    if not share:
        return ""
    if not blocks:
        return "#" * max(round(share * room), 1)
    eighths = max(round(share * room * 8), 1)
    return _EIGHTHS[8] * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
