"""What looks wrong, with its numbers: the guidance of the reference recipe's page held against the run, and what is
known to bias preference data. What to change about few or poor pairs is the business of `pairing.reports.advice`,
whose hints follow; here stands the evidence, and the flag for what `advice` does not look at.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from pairing.reports.advice import hints
from pairing.reports.funnel import REASONS, PairReport
from pairing.reports.numbers import rounded
from pairing.stats.figures import Figures
from pairing.stats.gather import StatsReport

__all__ = ["Check", "checks", "usual_unique"]

_UNIQUE_AT = ((0.2, 0.3, 0.5), (0.5, 0.6, 0.8), (0.9, 0.85, 0.95))
"""Temperature, and the share of unique answers that is usual there, from and to."""
_ENOUGH_PAIRS = 20
_TOLD = 0.1
"""Reasons that took a tenth of the prompts are named."""
_GOOD_YIELD, _WARM = 0.6, 0.8


class Check(NamedTuple):
    """One thing that was looked at. `verdict` is ok, low or high; `notes` say why and what to change. Texts are our own
    but for numbers."""

    name: str
    here: str
    usual: str
    verdict: str
    notes: tuple[str, ...] = ()


def checks(report: StatsReport) -> list[Check]:
    """Everything that can be told of this run, in the order a reader would ask."""
    figures = Figures.of(report)
    return [
        *_yield(report.funnel, figures),
        *_gap(report, figures),
        *_unique(report, figures),
        *_useless(report, figures),
        *_length(report),
        *_cut(report.funnel, figures),
    ]


def usual_unique(temperature: float) -> tuple[float, float]:
    """The usual share of unique answers at this temperature, between the points of the page."""
    first, last = _UNIQUE_AT[0], _UNIQUE_AT[-1]
    if temperature <= first[0]:
        return first[1:]
    for (low, *lower), (high, *upper) in pairwise(_UNIQUE_AT):
        if temperature <= high:
            along = (temperature - low) / (high - low)
            return lower[0] + along * (upper[0] - lower[0]), lower[1] + along * (upper[1] - lower[1])
    return last[1:]


def _yield(funnel: PairReport, figures: Figures) -> Iterator[Check]:
    value = figures.pair_yield
    if value is None:
        return
    worst = sorted(funnel.group_drops.items(), key=lambda item: (-item[1], item[0]))
    notes = [
        f"{count:,} of {funnel.groups:,}: {REASONS.get(reason, reason)} ({reason})"
        for reason, count in worst
        if count >= funnel.groups * _TOLD
    ]
    yield Check("prompts with a pair", f"{value:.1%}", "60-80%", _verdict(value, _GOOD_YIELD, 1), tuple(notes))


def _gap(report: StatsReport, figures: Figures) -> Iterator[Check]:
    rewards = report.numbers.rewards
    if figures.mean_gap is None or rewards.minimum < 0 or rewards.maximum > 1:
        return  # the page speaks of rewards from 0 to 1
    verdict = _verdict(figures.mean_gap, 0.2, 0.4)
    notes = {
        "low": f"the rewards of a prompt differ by {rounded(report.numbers.std_spread.mean, 2)} (std):"
        " a larger --min-gap leaves the closest pairs out",
        "high": "wide is not wrong, the evidence is split; --max-gap X leaves the widest out",
    }
    yield Check(
        "mean gap", rounded(figures.mean_gap, 2), "0.2-0.4", verdict, (notes[verdict],) if verdict in notes else ()
    )


def _unique(report: StatsReport, figures: Figures) -> Iterator[Check]:
    variety, heats = report.numbers.variety, report.funnel.temperatures
    if not (variety.unique.count and heats.count):
        return
    low, high = usual_unique(heats.mean)
    value = variety.unique.mean
    notes = []
    if value < low:
        notes.append(f"{variety.answers.mean:.3g} answers a prompt; last lines: {variety.last_lines.mean:.0%} unique")
        if figures.pair_yield is not None and figures.pair_yield < _GOOD_YIELD:
            notes.append(_warmer(report.funnel))
    usual = f"{low:.0%}-{high:.0%}".replace("%-", "-")
    yield Check(f"unique answers (T {heats.mean:.2g})", f"{value:.0%}", usual, _verdict(value, low, 1), tuple(notes))


def _warmer(funnel: PairReport) -> str:
    """What raises variety; never more heat where it is hot already, or where the hints ask for less."""
    if any("lower --temperature" in hint for hint in hints(funnel)) or funnel.temperatures.mean >= _WARM:
        return "more --num-repeats give pairs even so"
    return "raise --temperature (0.8)"


def _useless(report: StatsReport, figures: Figures) -> Iterator[Check]:
    asked = report.numbers.asked
    for name, share, found, meaning, remedy in (
        ("saturated", figures.saturated, report.numbers.saturated, f"{asked.success:g} or more", "harder"),
        ("hopeless", figures.hopeless, report.numbers.hopeless, f"{asked.failure:g} or less", "easier"),
    ):
        if share is None:
            continue
        notes: tuple[str, ...] = ()
        if share > 0.2:
            said = f"{found.count:,} of {report.numbers.judged:,} prompts: every reward is {meaning}"
            notes = (said, f"give {remedy} prompts; --write-{name} PATH lists them, to be dropped")
        yield Check(f"{name} prompts", f"{share:.1%}", "to 20%", _verdict(share, 0, 0.2), notes)


def _length(report: StatsReport) -> Iterator[Check]:
    lengths, strategy = report.numbers.lengths, report.funnel.strategy
    preference = lengths.preference
    if preference is None or lengths.pairs - lengths.equal < _ENOUGH_PAIRS:
        return
    verdict = _verdict(preference, 0.4, 0.6)
    notes: tuple[str, ...] = ()
    if verdict != "ok":
        longer = f"{lengths.longer:,} of {lengths.pairs - lengths.equal:,} pairs that differ in length"
        means = f"{lengths.chosen.mean:.0f} characters chosen, {lengths.rejected.mean:.0f} rejected on average"
        bound = "--max-length-ratio 1.5" if verdict == "high" else "--min-length-ratio 0.67"
        ways = [f"give {bound}"] + (["--strategy length_matched"] if strategy != "length_matched" else [])
        taught = "long" if verdict == "high" else "short"
        notes = (f"{longer}; {means}", f"a trainer learns to be {taught}: {' or '.join(ways)}")
    yield Check("chosen longer (unequal)", f"{preference:.1%}", "40-60%", verdict, notes)
    correlation = lengths.correlation
    if correlation is not None:
        verdict = _verdict(correlation, -0.3, 0.3)
        note = ("the verifier may score length: look at a few pairs",) if verdict != "ok" else ()
        yield Check("reward with length", f"{correlation:+.2f}", "-0.3 to 0.3", verdict, note)


def _cut(funnel: PairReport, figures: Figures) -> Iterator[Check]:
    if figures.truncated is not None:
        notes = ("raise --max-output-tokens",) if 0.1 < figures.truncated <= 0.2 else ()  # above it, a hint says so
        verdict = _verdict(figures.truncated, 0, 0.1)
        yield Check("truncated answers", f"{figures.truncated:.1%}", "to 10%", verdict, notes)
    share = figures.rejected_truncated
    if share is not None and share > 0.2:
        note = (
            f"{share:.0%} of {funnel.pairs:,} rejected sides are cut short: --truncated-rejected drop leaves them out"
        )
        yield Check("truncated, rejected side", f"{share:.1%}", "to 20%", "high", (note,))


def _verdict(value: float, low: float, high: float) -> str:
    return "low" if value < low else "high" if value > high else "ok"
