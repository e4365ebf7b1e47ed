"""docs/pairing.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pairing
from pairing.reports.funnel import REASONS
from pairing.strategies import STRATEGIES

DOCS = Path(__file__).parents[2] / "docs"
TEXT = "".join((DOCS / name).read_text(encoding="utf-8") for name in ("pairing.md", "formats.md"))
ROOM = Path(pairing.__file__).parent


def test_every_name_stands_in_the_docs() -> None:
    """Each reason and strategy is named; the formats have a page of their own."""
    assert {name for name in (*REASONS, *STRATEGIES) if f"`{name}`" not in TEXT} == set()


def test_every_reason_in_the_code_is_known() -> None:
    """No module gives a reason that the funnel cannot explain."""
    given = {
        reason
        for module in ROOM.rglob("*.py")
        if module.parent.name != "checking"  # its problems have a registry of their own
        for reason in re.findall(
            r'(?:return|None,|else|Unfit\(|: ) ?"((?:no|reward|too|all|gap|identical|empty|unfit)_[a-z_]+)"',
            module.read_text(encoding="utf-8"),
        )
    }
    assert len(given) > 12
    assert given <= REASONS.keys()
