"""What a summary says of the limit that found itself: lines of text, and its plots over time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from markupsafe import Markup

from collector.adaptive.history import Step, limit_line
from collector.parallelism.auto import AutoFigures, AutoTrial, kind_of
from collector.parallelism.report.columns import number
from collector.parallelism.report.timeline import Line, Note, Timeline, draw_timeline

__all__ = ["auto_lines", "auto_plots"]

_MOST_PLOTS = 6


def auto_lines(auto: AutoFigures, encoding: str = "utf-8") -> Iterator[str]:
    """Plain text: the share of the best level, with start-up, the limit and why it changed."""
    rate = number(auto.figures.rollouts_per_s.value)
    if auto.share is None or auto.best_per_s is None:
        yield f"auto: {rate} rollouts/s; no fixed level counts to hold it against"
    else:
        share = f"{auto.share.value:.0%} of the best fixed level ({auto.best} in flight: {number(auto.best_per_s)})"
        yield f"auto: {rate} rollouts/s, {share}; 95% of the resamples: {auto.share.low:.0%} to {auto.share.high:.0%}"
    whole = "" if auto.start_share is None else f", {auto.start_share:.0%} of it"
    yield f"auto with its start-up from {_start(auto)} in flight: {number(auto.start_per_s)} rollouts/s{whole}"
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(auto.changes.items(), key=lambda one: -one[1]))
    limits = f"{auto.lowest} to {auto.highest}, {number(auto.settled)} on average once measured"
    yield f"auto's limit: {limits}; changes in {len(auto.trials)} trials: {counts or 'none'}"
    last = auto.trials[-1]
    drawn = limit_line([Step(*step) for step in last.path.steps], last.closed, encoding)
    if drawn:
        yield f"auto's limit over the {last.closed:.0f} s of its last trial: {drawn}"


def auto_plots(auto: AutoFigures) -> Iterator[tuple[str, Markup, str]]:
    """(title, SVG, note) of each trial; of many the first and the last ones."""
    trials = auto.trials
    if len(trials) > _MOST_PLOTS:
        trials = trials[: _MOST_PLOTS // 2] + trials[-_MOST_PLOTS // 2 :]
    for trial in trials:
        yield f"Auto's limit, pass {trial.part}", draw_timeline(_timeline(trial)), _told(trial)


def _timeline(trial: AutoTrial) -> Timeline:
    steps = trial.path.steps
    lines = [Line("limit", [(at, float(limit)) for at, limit, _ in steps], 1)]
    waiting = [(at, waiting) for at, _, waiting in trial.path.loads if at <= trial.closed]
    if waiting:
        lines.append(Line("waiting", waiting, 2))
    notes = [
        Note(at, float(after), "" if after > before else kind_of(reason), f"{at:.1f} s: {before} to {after}, {reason}")
        for (_, before, _), (at, after, reason) in pairwise(steps)
    ]
    return Timeline("the limit over time", "requests", lines, notes, trial.closed, (trial.opened, trial.closed))


def _told(trial: AutoTrial) -> str:
    """The cuts in words: the plot has no room for them, and not everyone has a mouse."""
    cuts = [
        f"{at:.1f} s: {before} to {after} ({reason})"
        for (_, before, _), (at, after, reason) in pairwise(trial.path.steps)
        if after < before
    ]
    told = "; ".join(cuts[:4]) + (f"; and {len(cuts) - 4} more" if len(cuts) > 4 else "")
    return f"Shaded: the window that counts. Cuts: {told or 'none'}."


def _start(auto: AutoFigures) -> int:
    return auto.trials[0].path.steps[0][1]
