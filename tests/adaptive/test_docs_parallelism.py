"""docs/parallelism.md says what the simulation gives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.adaptive.simulated_run import Faults
from tests.adaptive.simulation import FAULTS, FEW_LONG, SHAPES, SHORT, auto, fixed, run

DOC = (Path(__file__).parents[2] / "docs" / "parallelism.md").read_text(encoding="utf-8")
CASES = {shape.name: (shape, Faults()) for shape in (*SHAPES, FEW_LONG)} | {
    name: (SHORT, faults) for name, faults in FAULTS.items()
}
ROWS = re.findall(r"^\| ([^|]+) \| (\d+): ([\d.]+)/s [^|]*\| (\d+)% \(waiting (\d+)%", DOC, re.MULTILINE)


def test_each_case_has_its_row() -> None:
    """In the order of the script."""
    assert [row[0] for row in ROWS] == list(CASES)


@pytest.mark.parametrize(("name", "number", "rate", "share", "waiting"), ROWS)
def test_the_table_is_what_the_simulation_gives(name: str, number: str, rate: str, share: str, waiting: str) -> None:
    """The best fixed number's rate, auto's share of it, and its queue; the sweep itself is in another test."""
    shape, faults = CASES[name]
    best = run(shape, fixed(int(number)), faults)
    outcome = run(shape, auto, faults)
    assert f"{best.rate:.2f}" == rate
    assert f"{outcome.rate / best.rate:.0%}" == f"{share}%"
    assert f"{outcome.waiting_share:.0%}" == f"{waiting}%"
