"""The main path of a check: rows in, notes counted, the first of each kind kept with its line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from collector.errors import InputError, UsageError
from pairing.checking.drift import Drift
from pairing.checking.guess import guess_target
from pairing.checking.images import image_notes
from pairing.checking.layouts import LAYOUTS, Note, view_of
from pairing.checking.problems import PROBLEMS
from pairing.checking.reading import Found, found_rows
from pairing.checking.rules import common_notes
from pairing.checking.trainer_rules import TRAINER_RULES, Neighbours, as_chosen_rejected
from pairing.formats import FORMATS
from pairing.output.parquet import is_parquet

__all__ = ["CheckReport", "check_file"]

_LOOKED_AT = 20
_WHOLE = frozenset({"trl-implicit", "open-instruct", "torchtune", "ms-swift"})
"""Targets whose sides begin with the prompt."""


@dataclass(slots=True)
class CheckReport:
    """What a check found. Texts come from the file: to be cleaned before they reach a terminal."""

    path: Path
    target: str
    told_by: str | None
    """The keys by which the target was told; None when it was given."""
    show: int
    rows: int = 0
    unreadable: int = 0
    """Lines that hold no row."""
    lines_wrong: int = 0
    """Lines with a problem that is wrong."""
    counts: Counter[str] = field(default_factory=Counter)
    shown: dict[str, list[tuple[int | None, str]]] = field(default_factory=dict)
    """The first lines of each problem with their details; None for the file as a whole."""

    @property
    def wrong(self) -> int:
        """How often something wrong was found; cautions apart."""
        return sum(count for name, count in self.counts.items() if PROBLEMS[name].wrong)

    def add(self, number: int | None, notes: list[Note]) -> None:
        """Count what was found in one row."""
        for note in notes:
            self.counts[note.problem] += 1
            first = self.shown.setdefault(note.problem, [])
            if len(first) < self.show:
                first.append((number, note.detail))
        self.lines_wrong += number is not None and any(PROBLEMS[note.problem].wrong for note in notes)


def check_file(path: Path | str, target: str = "auto", *, show: int = 3) -> CheckReport:
    """Looks through `path` for what `target` trips over. Raises UsageError (an unknown target, or one that cannot be
    told), InputError (a file that cannot be read)."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    if target != "auto" and target not in FORMATS:
        raise UsageError(f"--target {target}: give auto or one of {', '.join(sorted(FORMATS))}")
    rows, told_by = found_rows(path), None
    if target == "auto":
        rows, target, told_by = _told(path, rows)
    report = CheckReport(path, target, told_by, show)
    report.add(None, list(_of_file(path, target)))
    _check_rows(rows, report)
    return report


def _told(path: Path, rows: Iterator[Found]) -> tuple[Iterator[Found], str, str]:
    first = list(islice(rows, _LOOKED_AT))
    guess = guess_target([found.row for found in first if found.row is not None])
    if guess is None:
        faults = (f" (line {found.number} is {found.fault})" for found in first if found.row is None)
        why = next(faults, "" if first else " (there is none)")
        raise UsageError(f"{path}: the target cannot be told from the first rows{why}: give --target NAME")
    return chain(first, rows), *guess


def _of_file(path: Path, target: str) -> Iterator[Note]:
    wanted = FORMATS[target]
    if wanted.parquet_only and not is_parquet(path):
        yield Note("file_kind", f"{target} reads Parquet alone")
    if not wanted.capabilities.rectangular and is_parquet(path):
        yield Note("file_kind", f"{target} reads JSON lines alone")


def _check_rows(rows: Iterator[Found], report: CheckReport) -> None:
    target = report.target
    drift = Drift() if FORMATS[target].capabilities.rectangular else None
    neighbours = Neighbours() if FORMATS[target].spread else None
    for found in rows:
        if found.row is None:
            report.unreadable += 1
            report.add(found.number, [Note(found.fault or "not_json", found.detail)])
            continue
        report.rows += 1
        try:
            notes = list(_row_notes(found.row, target, neighbours))
        except RecursionError:
            notes = [Note("wrong_type", "nested too deep")]
        if drift is not None:
            notes += drift.notes(found.row, found.offset)
        report.add(found.number, notes)
    if not report.rows:
        report.add(None, [Note("no_rows", "")])
    if drift is not None:
        report.add(None, list(drift.at_end()))


def _row_notes(row: dict[str, Any], target: str, neighbours: Neighbours | None) -> Iterator[Note]:
    row_seen = as_chosen_rejected(row, target)
    view, notes = view_of(row_seen, LAYOUTS[target])
    yield from notes
    yield from common_notes(row_seen, view, FORMATS[target].capabilities, target in _WHOLE)
    yield from image_notes(row, view, target)
    rule = TRAINER_RULES.get(target)
    if rule is not None:
        yield from rule(row, view)
    if neighbours is not None:
        yield from neighbours.notes(view)
