"""A tune as tables for the terminal, as summary.json and as report.md."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pairing.planning.figures import Between
from pairing.planning.render import aligned
from pairing.tuning.findings import Finding
from pairing.tuning.grid import Grid, Rung, requests_of
from pairing.tuning.halving import Judged, RungResult
from pairing.tuning.scores import Score

__all__ = ["budget", "repeats_table", "report", "rung_table", "summary"]

_HEAD = ("temperature", "top_p", "repeats", "pairs/Mtok", "behind the best", "with a pair", "truncated", "")


def budget(grid: Grid, rungs: Sequence[Rung], max_output_tokens: int | None) -> list[str]:
    """What the tune will ask, one line for each rung, before anything is sent."""
    most = grid.repeats[-1]
    lines = [f"{len(grid.arms)} arms: {_listed(grid.temperatures)} x {_listed(grid.top_ps)} (temperature x top_p)"]
    before = 0
    for number, rung in enumerate(rungs, 1):
        new = rung.arms * (rung.prompts - before) * most
        lines.append(f"  rung {number}: {rung.arms} arms, {rung.prompts} prompts, {most} repeats: {new:,} requests")
        before = rung.prompts
    total = requests_of(rungs, most)
    if max_output_tokens is None:
        tokens = "output tokens: told after the first arm (--max-output-tokens N would bound them)"
    else:
        tokens = f"at most {total * max_output_tokens:,} output tokens"
    return [*lines, f"  {total:,} requests in all; {tokens}"]


def rung_table(number: int, result: RungResult) -> str:
    """One rung, best first."""
    rows = [_HEAD, *(_cells(judged) for judged in result.arms)]
    return "\n".join([f"rung {number}: {result.rung.prompts} prompts", *aligned(rows)])


def repeats_table(best: Score) -> str:
    """The best arm at each number of repeats: the cheapest pairs are not the most."""
    rows = [
        ("repeats", "pairs/Mtok", "with a pair"),
        *(
            (str(number), _span(best.per_million[at], ",.0f"), _span(best.paired[at], ".1%"))
            for at, number in enumerate(best.repeats)
        ),
    ]
    return "\n".join([f"{best.arm.flags}, by repeats", *aligned(rows)])


def report(lines: Sequence[str], results: Sequence[RungResult], finding: Finding) -> str:
    """report.md."""
    parts = ["# Tune", "```text\n" + "\n".join(lines) + "\n```"]
    for number, result in enumerate(results, 1):
        head = [*_HEAD[:-1], "verdict"]
        table = [_markdown(head), _markdown(["---"] * len(head)), *(_markdown(_cells(each)) for each in result.arms)]
        parts += [f"## Rung {number}: {result.rung.prompts} prompts", "\n".join(table)]
    if finding.best is not None:
        parts += ["## By repeats", "```text\n" + repeats_table(finding.best) + "\n```"]
        parts += ["## Use", f"    {finding.flags}"]
    else:
        parts += ["## Nothing to recommend", finding.why]
    if finding.warnings:
        parts += ["## Mind", "\n".join(f"- {line}" for line in finding.warnings)]
    return "\n\n".join(parts) + "\n"


def summary(grid: Grid, asked: dict[str, Any], results: Sequence[RungResult], finding: Finding) -> dict[str, Any]:
    """summary.json: finite numbers, null for what cannot be told, `[value, low, high]` for an interval."""
    return {
        **asked,
        "temperatures": list(grid.temperatures),
        "top_ps": list(grid.top_ps),
        "repeats": list(grid.repeats),
        "rungs": [
            {"prompts": result.rung.prompts, "arms": [_as_json(judged) for judged in result.arms]} for result in results
        ],
        "recommended": finding.flags or None,
        "why_not": finding.why or None,
        "ties": [arm.flags for arm in finding.ties],
        "warnings": list(finding.warnings),
    }


def _as_json(judged: Judged) -> dict[str, Any]:
    score = judged.score
    return {
        "temperature": score.arm.temperature,
        "top_p": score.arm.top_p,
        "rollouts": f"arms/{score.arm.name}/rollouts.jsonl",
        "best_repeats": score.repeats[score.best],
        "pairs_per_million_output_tokens": {
            str(number): _numbers(score.per_million[at]) for at, number in enumerate(score.repeats)
        },
        "prompts_with_a_pair": {str(number): _numbers(score.paired[at]) for at, number in enumerate(score.repeats)},
        "truncated": _numbers(score.truncated),
        "failed": score.failed,
        "behind_the_best": _numbers(judged.behind),
        "allowed": judged.allowed,
        "tie": judged.tie,
        "kept": judged.kept,
    }


def _cells(judged: Judged) -> list[str]:
    score = judged.score
    return [
        f"{score.arm.temperature:g}",
        f"{score.arm.top_p:g}",
        str(score.repeats[score.best]),
        _span(score.figure, ",.0f"),
        "-" if not judged.behind.value > 0 else _span(judged.behind, ".0%"),
        _span(score.paired[score.best], ".0%"),
        "-" if math.isnan(score.truncated.value) else f"{score.truncated.value:.1%}",
        _verdict(judged),
    ]


def _verdict(judged: Judged) -> str:
    words = [] if judged.allowed else ["over the truncation limit"]
    words += ["tie"] if judged.tie else []
    words += ["goes on"] if judged.kept else []
    return ", ".join(words)


def _markdown(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _span(value: Between, form: str) -> str:
    if math.isnan(value.value):
        return "-"
    return f"{value.value:{form}} ({value.low:{form}} to {value.high:{form}})"


def _listed(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


def _numbers(values: Between) -> list[float | None]:
    return [round(value, 6) if math.isfinite(value) else None for value in values]
