"""What to change when a run gives few pairs or poor ones: the troubleshooting of the reference recipe's page (see
docs/pairing.md), with its evidence.

Its guidance: temperature 0.6-0.8, 3-4 repeats, pairs from 60-80% of the prompts, a mean gap of 0.2-0.4. Too little
diversity: temperature up to 0.8, or 4 repeats. Erratic answers: temperature down to 0.6, or only rewards >= 0.3.
Nothing is advised that the run did already: its rows say how hot they were sampled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from collector.terminal import plain
from pairing.reports.funnel import REASONS, PairReport
from pairing.reports.numbers import rounded

__all__ = ["hints"]

_GOOD_YIELD = 0.6
_LOW_GAP = 0.2
_LOW_REWARD = 0.3
_MANY, _SOME = 0.2, 0.1
_ALIKE = 0.5
_WARM, _COOL = 0.8, 0.6
_REPEATS = 4
_REPLY_SHOWN = 60
_REMEDIES: Mapping[str, str] = {
    "too_few_rollouts": "collect more repeats (--num-repeats 4), or give all files of the run",
    "chosen_below_min": "lower --min-chosen-reward",
    "rejected_above_max": "raise --max-rejected-reward",
    "gap_above_max": "raise --max-gap",
    "no_rejected": "few answers are truncated: give --truncated-rejected allow",
    "incomplete": "go on with --resume, or lower --require-complete",
    "unfit_content_parts": "--format recipe holds them; docs/formats.md#images: which others hold images of a prompt",
    "unfit_image_source": "docs/formats.md#images: which trainers open paths, URLs, data URIs",
    "unfit_items": "--format recipe holds them",
    "unfit_tool_call": "--format recipe holds them",
}
"""What helps against a reason that takes many prompts."""


def hints(report: PairReport) -> list[str]:
    """One line for each thing that looks wrong, the numbers first; empty when nothing does. Without a pair there is
    always one. Never does one ask for more heat and another for less."""
    if not report.groups:
        return [_no_rollouts(report)]
    if not report.usable:
        return [_none_usable(report), *_filtered(report)]
    found = [*_filtered(report), *_too_few(report), *(_one_reward(report) or _spread(report))]
    return found if found or report.pairs else [_no_pair(report)]


def _no_rollouts(report: PairReport) -> str:
    if not report.lines:
        return (
            "The input is empty: give the file that was collected as --input. When it is that file, no rollout came of"
            " the run: its failures file says why."
        )
    reasons = _counts({"broken": report.broken} | dict(report.line_drops))
    return f"None of {report.lines:,} lines is a rollout ({reasons}): give the file that was collected as --input."


def _none_usable(report: PairReport) -> str:
    found = f"No rollout of {report.rollouts:,} is usable ({_counts(report.sample_drops)})"
    worst = max(report.sample_drops, key=lambda reason: report.sample_drops[reason], default="")
    if worst == "failed":
        return f"{found}: `_ng_failure_class` or `response.error` of the rows says why."
    if worst == "empty_text":
        return f"{found}: raise --max-output-tokens, or look at the server's chat template."
    if worst == "no_reward":
        return f"{found}: collect again with --verifier (an answer collected without one cannot be scored afterwards)."
    if worst == "filtered":
        return f"{found}: --where holds for none of them; a field that a row lacks is null."
    if worst == "truncated":
        return f"{found}: raise --max-output-tokens, or give --truncated-rejected allow."
    return f"{found}: pairing needs a finite number as `reward`."


def _filtered(report: PairReport) -> Iterator[str]:
    """A filter on rewards takes the rejected side away, which is seldom what was meant."""
    out = report.filtered
    if out.one_sided:
        yield (
            f"--where left out {out.rivals_out:,} of {out.rivals:,} answers that score lower than the best of their"
            f" prompt, and {out.best_out:,} of {out.best:,} best ones: a minimum reward removes the rejected side;"
            " --min-chosen-reward asks the chosen side only."
        )


def _too_few(report: PairReport) -> Iterator[str]:
    for reason, remedy in _REMEDIES.items():
        dropped = report.group_drops.get(reason, 0)
        if dropped > report.groups * _MANY:
            yield f"{dropped:,} of {report.groups:,} prompts: {REASONS[reason]} ({reason}): {remedy}."


def _one_reward(report: PairReport) -> list[str]:
    """All answers scored alike, at the bottom or at the top: one cause, and one hint."""
    rewards = report.rewards
    if rewards.minimum < rewards.maximum:
        return []
    if rewards.maximum <= 0:
        return [_nothing_scored(report)]
    if rewards.maximum >= 1 and report.group_drops.get("all_equal"):
        return [f"All {report.usable:,} answers have the same reward, {rewards.maximum:g}: give harder prompts."]
    return []


def _nothing_scored(report: PairReport) -> str:
    cut = _cut_or_empty(report)
    if cut > report.rollouts * _MANY:
        return f"No answer scored above 0, and {cut:,} are cut short or empty: raise --max-output-tokens."
    line = plain(report.reply)[:_REPLY_SHOWN]
    shown = f" The last line of the first reply: {line}" if line else ""
    return f"No answer scored above 0: compare a reply with what the verifier expects.{shown}"


def _spread(report: PairReport) -> list[str]:
    low_yield = report.pair_yield < _GOOD_YIELD
    alike = list(_too_alike(report, low_yield))
    warmer = any("--temperature" in hint for hint in alike)
    close = _too_close(report) if low_yield else []
    return [*close, *alike, *_cut_short(report, warmer), *_too_poor(report, warmer)]


def _too_close(report: PairReport) -> list[str]:
    gaps = report.close_gaps
    if gaps.count <= report.groups * _SOME:
        return []
    if report.min_gap is None:
        return [
            f"{gaps.count:,} of {report.groups:,} prompts: the rewards are closer than --min-gap: give a smaller one."
        ]
    return [
        f"{gaps.count:,} of {report.groups:,} prompts: best and worst are closer than --min-gap {report.min_gap:g} "
        f"(mean gap {gaps.mean:.2g}): give a smaller --min-gap."
    ]


def _too_alike(report: PairReport, low_yield: bool) -> Iterator[str]:
    equal, same = (report.group_drops.get(reason, 0) for reason in ("all_equal", "identical_text"))
    many_alike = low_yield and equal + same > report.groups * _SOME
    low_gap = bool(report.pairs) and report.gaps.mean < _LOW_GAP
    if not (many_alike or low_gap):
        return
    evidence = [f"{equal:,} with all rewards equal"] if equal else []
    evidence += [f"{same:,} with the same text on both sides"] if same else []
    evidence += [_differing(report)] if report.distinct_of else []
    evidence += [f"the mean gap is {rounded(report.gaps.mean, 2)} (0.2-0.4 is usual)"] if low_gap else []
    yield (
        f"{report.paired:,} of {report.groups:,} prompts give a pair ({report.pair_yield:.0%}; 60-80% is usual): "
        f"{'; '.join(evidence)}. {_remedy(report)}"
    )


def _differing(report: PairReport) -> str:
    distinct, of = (f"{mean:.1f}".removesuffix(".0") for mean in (report.distinct, report.distinct_of))
    return f"all {of} answers of a prompt are the same" if distinct == "1" else f"{distinct} of {of} answers differ"


def _remedy(report: PairReport) -> str:
    others = report.distinct_of - 1
    if others > 0 and (report.distinct - 1) / others <= _ALIKE:
        steps = " or ".join(_variety_steps(report))
        return f"The answers are too alike: {f'raise {steps}' if steps else 'try other prompts'}."
    mean = report.rewards.mean
    if mean > 1 - _LOW_REWARD:
        return "Most answers are right: give harder prompts."
    if _poor(report):  # which has a hint of its own
        return f"The answers differ but score low{': raise --num-repeats (4)' if _may_repeat(report) else ''}."
    repeats = "raise --num-repeats (4), or " if _may_repeat(report) else ""
    return f"The answers differ but score alike: {repeats}give other prompts or a verifier with finer grades."


def _variety_steps(report: PairReport) -> Iterator[str]:
    heat = _heat(report)
    if heat is None or heat < _WARM:
        yield f"--temperature (0.8{_was(report)})"
    if _may_repeat(report):
        yield "--num-repeats (4)"


def _cut_short(report: PairReport, warmer: bool) -> Iterator[str]:
    cut = _cut_or_empty(report)
    if cut > report.rollouts * _MANY:
        cooler = f", or lower --temperature (0.6{_was(report)})" if _may_cool(report) and not warmer else ""
        yield f"{cut:,} of {report.rollouts:,} answers are cut short or empty: raise --max-output-tokens{cooler}."


def _too_poor(report: PairReport, warmer: bool) -> Iterator[str]:
    if not _poor(report):
        return
    ways = [f"lower --temperature (0.6{_was(report)})"] if _may_cool(report) and not warmer else []
    ways.append("give easier prompts")
    if report.reward_values > 2 and report.rewards.maximum > _LOW_REWARD:  # of 0 and 1 every chosen one is above it
        ways.append("give --min-chosen-reward 0.3")
    yield f"The mean reward is {rounded(report.rewards.mean, 2)}: {', or '.join(ways)}."


def _poor(report: PairReport) -> bool:
    """True for low rewards between 0 and 1; on another scale, who knows."""
    rewards = report.rewards
    return rewards.mean < _LOW_REWARD and rewards.minimum >= 0 and rewards.maximum <= 1


def _no_pair(report: PairReport) -> str:
    reason = max(report.group_drops, key=lambda name: report.group_drops[name])
    return f"No prompt gives a pair; most often because {REASONS.get(reason, reason)} ({reason})."


def _cut_or_empty(report: PairReport) -> int:
    return report.truncated + report.sample_drops.get("empty_text", 0)


def _may_repeat(report: PairReport) -> bool:
    return round(report.distinct_of) < _REPEATS


def _may_cool(report: PairReport) -> bool:
    heat = _heat(report)
    return heat is None or heat > _COOL


def _heat(report: PairReport) -> float | None:
    """The mean temperature that the rows name."""
    return report.temperatures.mean if report.temperatures.count else None


def _was(report: PairReport) -> str:
    heats = report.temperatures
    if not heats.count:
        return ""
    least, most = f"{heats.minimum:.2g}", f"{heats.maximum:.2g}"
    return f"; it was {least}" if least == most else f"; it was {least} to {most}"


def _counts(drops: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {count:,}" for reason, count in sorted(drops.items()) if count)
