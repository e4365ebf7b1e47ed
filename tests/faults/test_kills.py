"""kill -9 at random points of real `pairmill collect` processes: nothing acknowledged is lost, nothing doubled."""

from __future__ import annotations

from pathlib import Path

from tests.faults.torture import torture


def test_forty_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    """While opening, resuming, writing, sealing, and inside disk calls; each followed by --resume. `scripts/torture` is
    the long form."""
    tally = torture(tmp_path, 40, seed=3)
    assert tally.kills.total() >= 40
    assert set(tally.kills) == {"opening", "writing", "disk call", "torn write", "sealing"}
    assert tally.torn
    assert tally.acknowledgements > 500
