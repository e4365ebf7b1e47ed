"""The report for a terminal: what stands where. Bars and checks are drawn elsewhere; plain text, no colour."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator

from collector.terminal import plain
from pairing.reports.advice import hints
from pairing.reports.columns import columns
from pairing.reports.numbers import rounded
from pairing.stats.bars import render_bars
from pairing.stats.diagnosis import checks
from pairing.stats.figures import Figures
from pairing.stats.gather import Numbers, StatsReport
from pairing.stats.histogram import Histogram
from pairing.stats.prompts import Listed, PromptList

__all__ = ["render_stats"]

_NARROWEST = 60
_NAME = 26
_COUNTS_SHOWN = 8


def render_stats(report: StatsReport, width: int = 100, *, blocks: bool = True) -> str:
    """Sections with an empty line between, no line longer than `width` (60 at least) where words allow it. What is not
    there to tell of has no section."""
    width = max(width, _NARROWEST)
    sections: list[Iterable[str]] = [
        _inputs(report),
        _histogram("rewards", report.numbers.rewards, _reward_notes(report), width, blocks),
        _histogram("gaps of the pairs", report.numbers.gaps, _gap_notes(report), width, blocks),
        _passes(report.numbers),
        _named("bias", _bias(report), width),
        _named("diversity of a prompt's answers", _diversity(report.numbers), width),
        _named("answers", _usage(report), width),
        _prompts("saturated", report.numbers.saturated, width),
        _prompts("hopeless", report.numbers.hopeless, width),
        _diagnosis(report, width),
    ]
    sections += [_wrapped(f"hint: {hint}", width, "      ") for hint in hints(report.funnel)]
    return "\n\n".join("\n".join(lines) for section in sections if (lines := list(section)))


def _inputs(report: StatsReport) -> Iterator[str]:
    funnel = report.funnel
    broken = f", {funnel.broken:,} broken lines" if funnel.broken else ""
    yield f"{funnel.rollouts:,} rollouts of {funnel.groups:,} prompts, {funnel.usable:,} usable{broken}"
    yield f"{funnel.pairs:,} pairs by {plain(funnel.strategy)}, from {funnel.pair_yield:.1%} of the prompts"


def _histogram(name: str, found: Histogram, notes: Iterator[str], width: int, blocks: bool) -> Iterator[str]:
    if found.count:
        yield name
        yield from render_bars(found.bars(), width, blocks=blocks)
        for note in notes:
            yield from _wrapped(f"  {note}", width, "  ")


def _reward_notes(report: StatsReport) -> Iterator[str]:
    n, f = report.numbers, Figures.of(report)
    spread = n.reward_spread
    yield f"mean {rounded(spread.mean)}, std {rounded(spread.std)}, from {spread.minimum:g} to {spread.maximum:g}"
    if f.all_same is None:
        return
    tenths = ", ".join(f"{n.stds.quantile(share) or 0:.3g}" for share in (0.1, 0.5, 0.9))
    yield f"std within a prompt: mean {rounded(n.std_spread.mean)}; at 10%, 50%, 90% of the prompts {tenths}"
    yield (
        f"{n.judged:,} prompts with two rewards: {n.all_same:,} all the same ({f.all_same:.1%});"
        f" {n.saturated.count:,} saturated, all {n.asked.success:g} or more ({f.saturated:.1%});"
        f" {n.hopeless.count:,} hopeless, all {n.asked.failure:g} or less ({f.hopeless:.1%})"
    )


def _gap_notes(report: StatsReport) -> Iterator[str]:
    gaps = report.funnel.gaps
    yield f"mean {rounded(gaps.mean)}, std {rounded(gaps.std)}, from {gaps.minimum:g} to {gaps.maximum:g}"


def _passes(numbers: Numbers) -> Iterator[str]:
    found, success = numbers.passes.at(), numbers.asked.success
    if not found:
        return
    yield f"pass@k, a success being a reward of {success:g} or more (--success)"
    every = found[0].prompts
    for at in found:
        fewer = "" if at.prompts == every else f"  of {at.prompts:,} prompts with so many answers"
        yield f"  {f'pass@{at.k}':<{_NAME}}  {at.value:>6.1%}{fewer}"
    if numbers.rewards.maximum < success and not found[-1].value:
        yield f"  no reward is as high; the highest is {numbers.rewards.maximum:g}"


def _bias(report: StatsReport) -> Iterator[tuple[str, str]]:
    lengths, f = report.numbers.lengths, Figures.of(report)
    if lengths.pairs:
        yield "chosen longer", f"{f.chosen_longer:.1%} of pairs; {lengths.equal / lengths.pairs:.1%} are of one length"
        yield "mean length", f"{lengths.chosen.mean:,.1f} chosen, {lengths.rejected.mean:,.1f} rejected, in characters"
    if lengths.correlation is not None:
        yield "reward with length", f"{lengths.correlation:+.2f} within a prompt (correlation)"
    if report.funnel.pairs:
        yield "truncated", f"{f.chosen_truncated:.1%} of chosen sides, {f.rejected_truncated:.1%} of rejected"


def _diversity(numbers: Numbers) -> Iterator[tuple[str, str]]:
    variety = numbers.variety
    if not variety.unique.count:
        return
    yield "unique answers", f"{variety.unique.mean:.1%}; last lines {variety.last_lines.mean:.1%}"
    grams = [(n, spread) for n, spread in variety.distinct.items() if spread.count]
    if grams:
        names = ", ".join(str(n) for n, _ in grams)
        yield f"distinct-{names}", ", ".join(f"{spread.mean:.3f}" for _, spread in grams)
    if variety.compression.count:
        sampled = variety.compression.count
        of = "" if sampled >= variety.unique.count else f"; this and distinct-n of {sampled:,} sampled prompts"
        yield "compression ratio", f"{variety.compression.mean:.2f} (zlib){of}"


def _usage(report: StatsReport) -> Iterator[tuple[str, str]]:
    usage, f = report.numbers.usage, Figures.of(report)
    if f.truncated is not None:
        yield "truncated", f"{f.truncated:.1%}"
    if usage.finish_reasons:
        yield "finish reasons", _counts(usage.finish_reasons)
    if usage.flags:
        yield "flags", _counts(usage.flags)
    if not usage.known:
        return
    some = "" if usage.known == usage.rollouts else f", told by {usage.known:,} of {usage.rollouts:,} rollouts"
    yield "tokens", f"{usage.input_tokens:,} in, {usage.output_tokens:,} out{some}"
    each = usage.per_million(report.funnel.pairs)
    if each is not None:
        yield "pairs", f"{each:,.0f} for a million output tokens"


def _counts(counts: Counter[str]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{plain(name)} {count:,}" for name, count in ordered[:_COUNTS_SHOWN]]
    more = len(ordered) - len(shown)
    return ", ".join(shown) + (f", and {more:,} more" if more else "")


def _prompts(name: str, found: PromptList, width: int) -> Iterator[str]:
    if not found.first:
        return
    shown = f", the first {len(found.first):,}" if len(found.first) < found.count else ""
    yield f"{name} prompts{shown} (--write-{name} PATH for all)"
    for each in found.first:
        yield _cut(_listed(each), width)


def _listed(each: Listed) -> str:
    task = "" if each.task_index is None else f"task {each.task_index}  "
    return f"  {plain(each.prompt_id)}  {task}{each.answers} answers, mean {each.mean_reward:.3g}  {plain(each.text)}"


def _cut(line: str, width: int) -> str:
    """The line's beginning, at most `width` columns of it."""
    used = 0
    for place, char in enumerate(line):
        used += columns(char)
        if used > width:
            return line[:place].rstrip()
    return line.rstrip()


def _diagnosis(report: StatsReport, width: int) -> Iterator[str]:
    found = checks(report)
    if not found:
        return
    yield f"{'diagnosis':<{_NAME}}  {'here':>6}  usual"
    for check in found:
        yield f"  {check.name:<{_NAME - 2}}  {check.here:>6}  {check.usual:<11}  {check.verdict}"
        for note in check.notes:
            yield from _wrapped(f"      {note}", width, "      ")


def _named(heading: str, lines: Iterator[tuple[str, str]], width: int) -> Iterator[str]:
    found = list(lines)
    if found:
        yield heading
    for name, value in found:
        yield from _wrapped(f"  {name:<{_NAME}}{value}", width, " " * (_NAME + 2))


def _wrapped(line: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(line, width, subsequent_indent=indent, break_on_hyphens=False, replace_whitespace=False)
