"""A plan as text: one table for each gap, what early stop would save, the check on itself, notes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pairing.planning.figures import Between, Plan, Row, Stop
from pairing.planning.samples import Pilot

__all__ = ["Prices", "aligned", "render_plan"]

_MILLION = 1e6


@dataclass(frozen=True, slots=True)
class Prices:
    """How many pairs are wanted, and what a million tokens cost, output and input; None where it was not said."""

    pairs_wanted: int | None = None
    output: float | None = None
    input: float | None = None

    def of_pair(self, row: Row) -> float | None:
        if self.output is None and self.input is None:
            return None
        return (row.tokens.value * (self.output or 0) + row.input_tokens * (self.input or 0)) / _MILLION

    def prompts_for(self, row: Row) -> float | None:
        if self.pairs_wanted is None or not row.pairs.value > 0:
            return None
        return math.ceil(self.pairs_wanted / row.pairs.value)

    def tokens_for(self, row: Row) -> float | None:
        return None if self.pairs_wanted is None else self.pairs_wanted * row.tokens.value

    def price_for(self, row: Row) -> float | None:
        each = self.of_pair(row)
        return None if each is None or self.pairs_wanted is None else self.pairs_wanted * each


def render_plan(pilot: Pilot, found: Plan, notes: Sequence[str], prices: Prices) -> str:
    """Several paragraphs, without an end of line."""
    each = pilot.rollouts / pilot.seen
    blocks = [f"{pilot.rollouts:,} rollouts of {pilot.seen:,} prompts, {each:.3g} each; nothing was sent"]
    for gap in dict.fromkeys(row.gap for row in found.rows):
        rows = [row for row in found.rows if row.gap == gap]
        blocks.append("\n".join([f"pairs with a gap of {gap:g} or more", *_table(rows, prices)]))
    if found.stops:
        gap = found.stops[0].gap
        head = f"stopping each prompt at its first usable pair (--until-gap {gap:g} --max-repeats K)"
        blocks.append("\n".join([head, *_stop_table([stop for stop in found.stops if stop.gap == gap])]))
    if found.check:
        count, foretold, truth = found.check
        blocks.append(
            f"check: from {count // 2} of each prompt's {count} rollouts, {_share(foretold)} with a pair at {count} are"
            f" foretold; all {count} give {truth:.1%}"
        )
    blocks += [f"note: {note}" for note in notes]
    return "\n\n".join(blocks)


def _table(rows: Sequence[Row], prices: Prices) -> list[str]:
    head = ["repeats", "from", "with a pair", "mean gap", "pairs/prompt", "tokens/pair"]
    if prices.output is not None or prices.input is not None:
        head.append("cost/pair")
    if prices.pairs_wanted is not None:
        head += [f"prompts for {prices.pairs_wanted:,}", "output tokens"]
        head += ["cost"] if prices.output is not None or prices.input is not None else []
    return aligned([head, *(_cells(row, prices) for row in rows)])


def _cells(row: Row, prices: Prices) -> list[str]:
    cells = [
        str(row.repeats),
        _source(row.modelled, row.far),
        _share(row.paired),
        _span(row.mean_gap, ".3f"),
        f"{row.pairs.value:.3g}",
        _span(row.tokens, ",.0f"),
    ]
    if prices.output is not None or prices.input is not None:
        cells.append(_money(prices.of_pair(row)))
    if prices.pairs_wanted is not None:
        prompts, tokens = prices.prompts_for(row), prices.tokens_for(row)
        cells += ["-" if prompts is None else f"{prompts:,}", _whole(tokens)]
        cells += [_money(prices.price_for(row))] if prices.output is not None or prices.input is not None else []
    return cells


def _stop_table(stops: Sequence[Stop]) -> list[str]:
    head = ["K", "from", "rollouts/prompt", "tokens/pair", "all K", "saves"]
    return aligned([head, *(list(_stop_cells(stop)) for stop in stops)])


def _stop_cells(stop: Stop) -> Iterator[str]:
    yield str(stop.cap)
    yield _source(stop.modelled, far=False)
    yield _span(stop.samples, ".2f")
    yield _span(stop.tokens, ",.0f")
    yield _whole(stop.fixed_tokens)
    saved = stop.fixed_tokens / stop.tokens.value if stop.tokens.value else math.nan
    yield "-" if math.isnan(saved) else f"{saved:.2f} x"


def _source(modelled: float, far: bool) -> str:
    if not modelled:
        return "subsets"
    return ("model" if modelled == 1 else f"model {modelled:.0%}") + (", far" if far else "")


def _share(value: Between) -> str:
    return f"{value.value:.1%} ({value.low:.1%}-{value.high:.1%})"


def _span(value: Between, form: str) -> str:
    if math.isnan(value.value):
        return "-"
    return f"{value.value:{form}} ({value.low:{form}}-{value.high:{form}})"


def _whole(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:,.0f}"


def _money(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.4g}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines, every column but the first to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
