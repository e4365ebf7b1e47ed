"""docs/strategies.md and docs/pairing.md say what strategies, guards and filters do."""

from __future__ import annotations

import argparse
import dataclasses
import re
from pathlib import Path
from typing import Any

from pairing.filters.nodes import SIGNS
from pairing.guards import Guards
from pairing.options.guards import ALLOWED, add_guard_options, guards_from
from pairing.strategies import STRATEGIES
from pairing.strategies.function import FromFunction
from pairing.strategies.view import PromptView, RolloutView
from tests.pairing.pools import picks, pool_of

DOCS = Path(__file__).parents[2] / "docs"
PAIRING = (DOCS / "pairing.md").read_text(encoding="utf-8")
POLICIES = (DOCS / "strategies.md").read_text(encoding="utf-8")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    add_guard_options(made)
    return made


def test_every_strategy_stands_in_the_table_with_its_parameters() -> None:
    """Each name has one row, which gives every parameter with its default, and the paper its docstring cites."""
    for name, factory in STRATEGIES.items():
        (row,) = re.findall(rf"^\| `{name}` \| .*\|$", POLICIES, re.MULTILINE)
        for parameter in dataclasses.fields(factory):  # type: ignore[arg-type]
            default = "none" if parameter.default is None else f"{parameter.default:g}"
            assert f"`{parameter.name}`" in row
            assert f"({default}" in row
        assert set(re.findall(r"\d{4}\.\d{5}", row)) <= set(re.findall(r"\d{4}\.\d{5}", factory.__doc__ or ""))
        assert f"`{name}`" in PAIRING


def test_every_guard_stands_in_the_table_with_its_flag_and_default() -> None:
    """Each field of Guards, and each flag, is named in one table; what is off says so."""
    table = PAIRING[PAIRING.index("## Guards") : PAIRING.index("Reasons by where")]
    flags = {flag for action in parser()._actions for flag in action.option_strings} - {"-h", "--help", "--no-guards"}
    assert {flag for flag in flags if f"`{flag}" not in PAIRING} == set()
    for field in dataclasses.fields(Guards):
        (row,) = [
            line for line in table.splitlines() if line.startswith("| ") and f"`{field.name}`" in line.split("|")[4]
        ]
        told = row.split("|")[2].strip()
        if field.name == "min_gap":  # PairSettings asks it
            assert told == "0.15"
        elif field.name == "require_members":  # two there must be
            assert told == "2"
        elif isinstance(field.default, bool) or field.default is None:
            assert told == ("on" if field.default else "off")
        else:
            assert told == f"`{field.default}`"


def test_the_flags_defaults_are_those_of_guards() -> None:
    """Nothing given asks for Guards(); each guard can be switched off by its name, all of them by --no-guards."""
    plain = parser()
    assert guards_from(plain.parse_args([])) == Guards()
    assert guards_from(plain.parse_args(["--no-guards"])) == Guards.none()
    for name in ALLOWED:
        off: dict[str, Any] = {name: False}
        assert guards_from(plain.parse_args(["--allow", name])) == dataclasses.replace(Guards(), **off)
    switches = {field.name for field in dataclasses.fields(Guards) if field.default is True}
    assert switches == set(ALLOWED)


def test_every_sign_of_a_filter_is_told() -> None:
    """And the examples of the docs can be read."""
    section = PAIRING[PAIRING.index("## Filters") : PAIRING.index("## Guards")]
    assert {sign for sign in SIGNS if f"`{sign}`" not in section} == set()
    examples = re.findall(r"--where '(.*)'$", section, re.MULTILINE)
    assert len(examples) > 2
    for example in examples:
        Guards(where=example)


def test_the_example_of_a_strategy_runs(tmp_path: Path) -> None:
    """The best over every longer one that scores lower."""
    (code,) = re.findall(r"```python\n(.*?)```", POLICIES, re.DOTALL)
    (tmp_path / "mine.py").write_text(code)
    pool = pool_of([1.0, 0.0, 0.5], ["mid", "s", "the long one"])
    assert picks(FromFunction(f"{tmp_path / 'mine.py'}:pick"), pool) == [(0, 2)]


def test_every_name_of_the_view_is_told() -> None:
    """What a user's function may use is in the docs."""
    for view, prefix in ((PromptView, "prompt."), (RolloutView, "")):
        public = {name for name in vars(view) if not name.startswith("_")} - {"of"}
        assert {name for name in public if f"`{prefix}{name}`" not in POLICIES} == set()
