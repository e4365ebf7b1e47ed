"""A run's state in words: the bar, the lines below it, and the plain line for what is no terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tqdm import tqdm

from collector.live.rates import Pace
from collector.live.tally import Tally

__all__ = ["bar_line", "plain_line", "status_lines"]

_WHAT, _SHORT = "Collecting rollouts", "Rollouts"
_LEAST_BAR = 10
"""Cells: a shorter bar says less than the words that it would push out."""
_BAR = "{desc}: {share}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{left}, {rate_fmt}{postfix}]"
_NO_BAR = "{desc}: {share}% {n_fmt}/{total_fmt} [{elapsed}<{left}, {rate_fmt}{postfix}]"
_OUTDATED = 15.0
"""Seconds after which a server's load is no news."""


def bar_line(tally: Tally, pace: Pace, width: int, *, ascii_only: bool = False) -> str:
    """tqdm's bar of the rollouts on disk, at most `width` wide: less is said where there is no room."""
    reward = _reward(tally)
    for what, postfix in ((_WHAT, reward), (_SHORT, reward), (_SHORT, "")):
        if len(_meter(tally, pace, what, postfix, _NO_BAR)) + _LEAST_BAR < width:
            return _meter(tally, pace, what, postfix, _BAR, width, ascii_only=ascii_only)
    return _meter(tally, pace, _SHORT, "", _NO_BAR, width)


def status_lines(tally: Tally, pace: Pace, width: int) -> list[str]:
    """What stands below the bar, each line at most `width` wide: how busy the servers are, what went wrong, the pairs.
    What is not known is not said, nor is, from the end, what finds no room."""
    busy, tokens, asides = _business(tally), _tokens(tally, pace), _asides(tally)
    ways = [[*busy, ", ".join(tokens), *asides], [*busy, *tokens[:1], *asides], [*busy, *asides], busy]
    lines = [_fitting(ways, width), _fitting([[way] for way in _pairs(tally)], width)]
    return [line for line in lines if line]


def plain_line(tally: Tally, pace: Pace, *, over: bool = False) -> str:
    """All of it in one line that stands for itself; when the run is `over`, what it came to."""
    done = tally.resumed + tally.rollouts
    when = f"in {_interval(pace.elapsed)}" if over else f"{_left(tally, pace)} left"
    parts = [f"{_WHAT}: {_share(tally)}% {done}/{tally.tasks} {when}, {_rate(pace)}"]
    parts += [] if over else _business(tally)
    tokens = ", ".join(_tokens(tally, pace))
    parts += [*([tokens] if tokens else []), *_asides(tally), *_pairs(tally)[:1]]
    reward = _reward(tally)
    return " | ".join([*parts, reward] if reward else parts)


def _meter(
    tally: Tally, pace: Pace, what: str, postfix: str, form: str, width: int | None = None, *, ascii_only: bool = False
) -> str:
    return tqdm.format_meter(
        tally.resumed + tally.rollouts,
        tally.tasks,
        pace.elapsed,
        ncols=width,
        prefix=what,
        ascii=ascii_only,
        rate=pace.rollouts,
        postfix=postfix,
        bar_format=form.replace("{left}", _left(tally, pace)).replace("{share}", _share(tally)),
    )


def _share(tally: Tally) -> str:
    """Percent of the rollouts that are on disk, rounded down: 100 is said of all of them alone."""
    done = tally.resumed + tally.rollouts
    return f"{100 * done // tally.tasks if tally.tasks else 100:3d}"


def _reward(tally: Tally) -> str:
    if not tally.rewards or tally.resumed:  # a mean of the new ones alone would be read as the file's
        return ""
    return f"reward={tally.reward_sum / tally.rewards:.3f}"


def _left(tally: Tally, pace: Pace) -> str:
    """Until the last rollout ends: one that fails takes its time too, and one that early stop spares takes none."""
    if not tally.left:
        return _interval(0)
    return _interval(tally.left / pace.settled) if pace.settled > 0 else "?"


def _interval(seconds: float) -> str:
    return tqdm.format_interval(min(seconds, 1e9))


def _rate(pace: Pace) -> str:
    if pace.rollouts <= 0:
        return "?/s"
    return f"{pace.rollouts:.3g}/s" if pace.rollouts < 100 else f"{pace.rollouts:.0f}/s"


def _business(tally: Tally) -> list[str]:
    """How many requests are out, and how many of them the servers let wait."""
    view = tally.view
    if view is None:
        return []
    text = f"in flight {view.in_flight}/{view.limit}"
    load = view.load
    if load is not None and time.monotonic() - load.at < _OUTDATED:
        text += f", {load.waiting:.0f} waiting"
    return [text]


def _tokens(tally: Tally, pace: Pace) -> list[str]:
    """Output tokens a second, and in all."""
    if not tally.output_tokens:
        return []
    return [f"{_short(pace.tokens)} tok/s", f"{_short(tally.output_tokens)} tok"]


def _asides(tally: Tally) -> list[str]:
    """What did not come, came late, or needs not come."""
    retried = sum(tally.retries.values())
    counts = ((tally.failed, "failed"), (retried, "retried"), (tally.spared, "spared"))
    text = ", ".join(f"{_short(count)} {what}" for count, what in counts if count)
    return [text] if text else []


def _pairs(tally: Tally) -> list[str]:
    """The prompts with a usable pair, and those to be expected: in full, and shorter."""
    yields = tally.yields
    if yields is None or not tally.rewards or not yields.finished:
        return []
    share = f"({100 * yields.usable // yields.finished}%)"
    so_far = f"usable pairs {yields.usable} of {yields.finished} {'new ' if tally.resumed else ''}prompts {share}"
    short = f"usable pairs {yields.usable}/{yields.finished} {share}"
    awaited = yields.expected
    if awaited is None or yields.finished >= yields.prompts or not tally.left:
        return [so_far, short]
    between = f"({awaited.low}-{awaited.high})"
    return [
        f"{so_far}, about {awaited.likely} of {yields.prompts} at the end {between}",
        f"{short}, at the end {awaited.likely}/{yields.prompts} {between}",
        short,
    ]


def _fitting(ways: Sequence[Sequence[str]], width: int) -> str:
    """The first of several ways to say it that there is room for; empty when there is none."""
    lines = ("  " + " | ".join(part for part in way if part) for way in ways if any(way))
    return next((line for line in lines if len(line) <= width), "")


def _short(number: float) -> str:
    """A number in three digits or so: 999, 12.3k, 1.23M."""
    for unit in ("", "k", "M", "G"):
        if number < 999.5:
            return f"{number:.3g}{unit}" if unit or number < 10 else f"{number:.0f}"
        number /= 1000
    return f"{number:.3g}T"
