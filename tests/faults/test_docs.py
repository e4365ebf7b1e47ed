"""docs/durability.md names tests: each of them exists, and each file of fault tests is named."""

from __future__ import annotations

import ast
import re

from tests.faults.commands import ROOT

_REFERENCE = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def _defined(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}


def test_every_test_that_the_promise_names_exists() -> None:
    """A test that is renamed or dropped takes its promise along, or is put right in the document."""
    references = _REFERENCE.findall((ROOT / "docs" / "durability.md").read_text("utf-8"))
    assert len(references) > 30
    missing = [f"{path}::{name}" for path, name in references if name not in _defined(path)]
    assert missing == []


def test_every_kind_of_fault_stands_in_the_document() -> None:
    """Each file of fault tests is named there at least once."""
    text = (ROOT / "docs" / "durability.md").read_text("utf-8")
    files = {path.name for path in (ROOT / "tests" / "faults").glob("test_*.py")} - {"test_docs.py"}
    assert {name for name in files if f"tests/faults/{name}::" not in text} == set()
