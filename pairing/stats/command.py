"""`pairmill stats`: the numbers as text or JSON, the lists of prompts, and which thresholds are not met."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pairing.options.flags import pair_settings
from pairing.reading.decided import asked_for
from pairing.reading.files import input_files
from pairing.stats.bars import draws_blocks
from pairing.stats.figures import Figures, as_json
from pairing.stats.gather import Asked, StatsReport, gather
from pairing.stats.prompts import prompt_files
from pairing.stats.render import render_stats
from pairing.stats.thresholds import given_thresholds, unmet

__all__ = ["Answer", "stats"]

_NARROWEST, _WIDEST = 60, 120


@dataclass(frozen=True, slots=True)
class Answer:
    """What the command prints, and `unmet`: a line for each threshold that is not met, and for an empty input."""

    text: str
    unmet: tuple[str, ...]


def stats(args: argparse.Namespace) -> Answer:
    """Reads, writes the lists that were asked for, prints nothing. Raises UsageError, InputError, OutputError."""
    thresholds = given_thresholds(args)
    asked = Asked(success=args.success, failure=args.failure, listed=args.list)
    settings, files = pair_settings(args), input_files(args.input, include_incomplete=args.group_size is None)
    places = {"--write-saturated": args.write_saturated, "--write-hopeless": args.write_hopeless}
    with prompt_files(places, files, args.overwrite) as (saturated, hopeless):
        report = gather(files, settings, asked, saturated, hopeless)
    missed = [*unmet(thresholds, Figures.of(report))]
    if not report.funnel.groups:
        missed.insert(0, "the input holds no rollout")
    text = json.dumps(as_json(report), allow_nan=False) if args.json else _rendered(report) + _early_stop_note(files)
    return Answer(text, tuple(missed))


def _early_stop_note(files: Sequence[Path]) -> str:
    """What early stop does to the numbers, where a decisions file beside an input tells of it; else nothing."""
    if not any(asked_for(path, 0) for path in files):
        return ""
    note = (
        "note: early stop chose by the rewards how many answers each prompt has: the mean reward and pass@k are biased"
        " (docs/early-stop.md)"
    )
    return "\n\n" + textwrap.fill(note, _width(), subsequent_indent="      ")


def _rendered(report: StatsReport) -> str:
    return render_stats(report, _width(), blocks=draws_blocks(getattr(sys.stdout, "encoding", None)))


def _width() -> int:
    return max(_NARROWEST, min(shutil.get_terminal_size((100, 24)).columns, _WIDEST))
