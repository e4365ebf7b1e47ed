"""docs/pairing.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pairing
from pairing.formats import FORMATS
from pairing.funnel import REASONS
from pairing.strategies import STRATEGIES

TEXT = (Path(__file__).parents[2] / "docs" / "pairing.md").read_text(encoding="utf-8")
ROOM = Path(pairing.__file__).parent


def test_every_name_stands_in_the_docs() -> None:
    """Each reason, format and strategy is named."""
    assert {name for name in (*REASONS, *FORMATS, *STRATEGIES) if f"`{name}`" not in TEXT} == set()


def test_every_capability_is_told_as_it_is() -> None:
    """The table of formats is the capability table."""
    for name, target in FORMATS.items():
        holds = target.capabilities
        told = [holds.several_messages, holds.tools, holds.reasoning, holds.parts, holds.rectangular]
        (row,) = re.findall(rf"^\| `{name}` \|.*\|$", TEXT, re.MULTILINE)
        assert [cell.strip() for cell in row.split("|")[3:-1]] == ["yes" if yes else "no" for yes in told]


def test_every_reason_in_the_code_is_known() -> None:
    """No module gives a reason that the funnel cannot explain."""
    given = {
        reason
        for module in ROOM.rglob("*.py")
        for reason in re.findall(
            r'(?:return|None,|else|Unfit\(|: ) ?"((?:no|reward|too|all|gap|identical|empty|unfit)_[a-z_]+)"',
            module.read_text(encoding="utf-8"),
        )
    }
    assert len(given) > 12
    assert given <= REASONS.keys()
