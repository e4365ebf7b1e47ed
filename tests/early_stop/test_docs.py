"""docs/early-stop.md says what is true: its commands parse, its reasons, fields and numbers are the code's."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from collector.early_stop import Ledger
from collector.early_stop.decisions import write_decisions
from collector.early_stop.rule import STOPS
from collector.journal.disk import DISK
from collector.options import settings_from
from pairing.cli import parse

PAGE = (Path(__file__).parents[2] / "docs" / "early-stop.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (pairmill .*)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_parses(command: str) -> None:
    """And asks for early stop."""
    args = parse(shlex.split(command)[1:])
    args.verifier = args.verifier or ["numeric"]
    args.input = args.input or Path("in.jsonl")
    settings = settings_from(args, base_url="http://127.0.0.1:1/v1", output=Path("out.jsonl"))
    assert settings.until_gap is not None
    assert settings.num_repeats == args.max_repeats


def test_the_reasons_are_those_of_the_code_in_its_order() -> None:
    """Each has its line in the table."""
    table = PAGE[PAGE.index("| reason | when |") :]
    found = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(found) == sorted(STOPS)


def test_the_line_of_the_decisions_file_is_one(tmp_path: Path) -> None:
    """The rewards 0.2, 1.0 and 0.4 give it, byte for byte."""
    ledger = Ledger(1, 8)
    for repeat, reward in enumerate((0.2, 1.0, 0.4)):
        ledger.add(0, repeat, reward, ())
    ledger.close(0, 3, "usable")
    write_decisions(tmp_path / "decisions.jsonl", ledger, DISK)
    (line,) = re.findall(r"^```json\n(.*)\n```", PAGE, re.MULTILINE)
    assert (tmp_path / "decisions.jsonl").read_text() == line + "\n"
    assert list(json.loads(line)) == list(json.loads((tmp_path / "decisions.jsonl").read_bytes()))


def test_the_table_of_what_giving_up_loses() -> None:
    """Computed: N equal rewards of either kind, and another one among the rest of the eight."""
    rows = re.findall(r"^\| (\d+)% \| (\d+)% \| (\d+)% \| (\d+)% \| (\d+)% \|$", PAGE, re.MULTILINE)
    assert len(rows) == 4
    for share, *shown in rows:
        p = int(share) / 100
        lost = [sum(q**n * (1 - q ** (8 - n)) for q in (p, 1 - p)) for n in (3, 4, 6)]
        assert [int(each) for each in shown] == [round(100 * each) for each in (1 - p**8 - (1 - p) ** 8, *lost)]
    for bound, number in re.findall(r"(\d+)% for (?:N = )?(\d+)", PAGE):
        assert int(bound) == round(100 * (1 - 0.05 ** (1 / int(number))))


def test_the_tables_add_up() -> None:
    """Tokens a pair and their ratios follow from the other columns; the target of 1.4 is met in each row of a gap."""
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.split("\n") if re.match(r"\| \d.*x \|", line)
    ]
    assert len(rows) == 30
    base = 1.0
    for row in rows:
        tokens, by_gap, pairs = (int(row[at].replace(",", "")) for at in (3, 4, 5))
        assert [row[6], row[7]] == [f"{tokens / by_gap:,.0f}", f"{tokens / pairs:,.0f}"]
        base = tokens / pairs if row[1] == "fixed" else base
        assert row[9] == f"{base / (tokens / pairs):.2f}x"
        assert row[1] == "fixed" or float(row[9][:-1]) >= 1.4
