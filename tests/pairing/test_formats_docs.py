"""docs/formats.md says what the code does: the table, every example, every problem that `pairmill check` finds."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest

from pairing import build_pairs
from pairing.formats import FORMATS
from pairing.formats.table import HEADINGS, capability_rows, describe, render_formats
from tests.pairing.make import our_row, write_rows

DOCS = Path(__file__).parents[2] / "docs" / "formats.md"


def example_lines(name: str) -> list[str]:
    """What the format writes of one pair."""
    target = FORMATS[name]
    with tempfile.TemporaryDirectory() as folder:
        prompt = {"prompt_text": "What is 17 * 3?"}
        source = write_rows(
            Path(folder) / "r.jsonl",
            our_row(0, 0, 1.0, "10 * 3 + 7 * 3 = 51", **prompt),
            our_row(0, 1, 0.0, "About 50.", **prompt),
        )
        # verl reads Parquet; its rows are those of trl-standard
        build_pairs(source, Path(folder) / "p.jsonl", format="trl-standard" if target.parquet_only else name)
        return (Path(folder) / "p.jsonl").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", FORMATS)
def test_each_example_is_what_is_written(name: str) -> None:
    """Byte for byte."""
    (section,) = re.findall(
        rf"^## {name}\n(.*?)(?=^## |\Z)", DOCS.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    (shown,) = re.findall(r"^```json\n(.*?)\n```", section, re.DOTALL | re.MULTILINE)
    assert shown.splitlines() == example_lines(name)
    assert "Checked with: " in section


def test_the_table_is_the_code() -> None:
    """Every capability of every format, in the registry's order."""
    text = DOCS.read_text(encoding="utf-8")
    assert "| " + " | ".join(HEADINGS) + " |" in text
    told = re.findall(r"^\| `([a-z-]+)` \| ((?:yes|no) .*) \|$", text, re.MULTILINE)
    assert [(name, *rest.split(" | ")) for name, rest in told] == list(capability_rows())


def test_the_terminal_shows_every_format() -> None:
    """One line for each, and a description that leads to the docs."""
    lines = render_formats().splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(FORMATS)
    for name, target in FORMATS.items():
        assert f"docs/formats.md#{name} " in describe(target)
