"""docs/messages.md says what the code does: every example of the table, the split, and what each target takes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from collector.records.messages import messages_from_items
from pairing.build import write_pairs
from pairing.formats import FORMATS, Format
from pairing.formats.policy import TRAJECTORIES
from pairing.settings import PairSettings
from tests.pairing.make import Row, read_rows, write_rows
from tests.pairing.make_pairs import asked, said, system, tool_turns, user

TEXT = (Path(__file__).parents[2] / "docs" / "messages.md").read_text(encoding="utf-8")
PROMPTS: dict[str, list[Row]] = {
    "system first": [system("Be brief."), user("q")],
    "earlier turns": [user("a"), said("b"), user("q")],
    "system later": [user("a"), system("Be brief."), user("q")],
    "ends with a tool": [user("q"), *tool_turns(1, "")[:2]],
    "ends with the assistant": [user("q"), said("My answer is")],
}


def examples() -> list[Any]:
    return re.findall(r"^\| (`.+`) \| (`.+`) \|$", TEXT, re.MULTILINE)


@pytest.mark.parametrize(("items", "messages"), examples())
def test_each_example_of_the_conversion(items: str, messages: str) -> None:
    """The items of the left column give the messages of the right one."""
    given, wanted = (json.loads(f"[{cell.strip('`')}]") for cell in (items, messages))
    assert messages_from_items(given) == wanted


def test_there_are_examples() -> None:
    """The pattern above finds them."""
    assert len(examples()) >= 12


def test_the_split_example(tmp_path: Path) -> None:
    """Two rollouts, and the record that `trl` makes of them."""
    chosen, rejected, record = (
        json.loads(block) for block in re.findall(r"^```json\n(.*?)\n```", TEXT, re.DOTALL | re.MULTILINE)
    )
    rows = asked(user("Add 1 and 1."))(chosen, rejected)
    write_pairs([write_rows(tmp_path / "r.jsonl", *rows)], tmp_path / "p.jsonl", PairSettings(), False)
    (row,) = read_rows(tmp_path / "p.jsonl")
    bare = {side: [{k: v for k, v in m.items() if v is not None} for m in row[side]] for side in record}
    assert bare == record


def takes(target: Format, prompt: list[Row], folder: Path) -> str:
    """`yes`, or the reason that a pair of plain answers to this prompt is left out."""
    output = folder / ("p.parquet" if target.parquet_only else "p.jsonl")
    source = write_rows(folder / "r.jsonl", *asked(*prompt)("Two, it says.", "Three, it says."))
    report = write_pairs([source], output, PairSettings(format=target.name), True)
    return next((f"`{reason}`" for reason in report.pair_drops), "yes")


@pytest.mark.parametrize("name", FORMATS)
def test_what_each_target_takes_as_a_prompt(name: str, tmp_path: Path) -> None:
    """The table of prompts, and whether the target takes shared turns into its prompt."""
    (cells,) = re.findall(rf"^\| `{name}` \| (.*) \|$", TEXT, re.MULTILINE)
    target = FORMATS[name]
    splits = target.capabilities.splits and target.capabilities.conversation
    told = [takes(target, prompt, tmp_path) for prompt in PROMPTS.values()]
    assert cells.split(" | ") == [*told, "yes" if splits else "no"]


def test_the_headings_and_the_policies() -> None:
    """In the order of the code."""
    assert "| format | " + " | ".join(PROMPTS) + " | shared turns |" in TEXT
    assert re.findall(r"^\| `([a-z-]+)`(?: \(default\))? \| [a-z]", TEXT, re.MULTILINE)[: len(TRAJECTORIES)] == list(
        TRAJECTORIES
    )
