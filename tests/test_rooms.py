"""The two stages keep to their rooms: what each may import of the other, read from the source of every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = ("collector.records", "collector.journal", "collector.errors", "collector.terminal")
COMPOSES_BOTH = frozenset(
    {
        "pairing/cli.py",
        "pairing/run.py",
        "pairing/tune.py",
        "pairing/bench.py",
        "pairing/following.py",
        "pairing/process.py",
    }
)
"""The command line: it may import both stages, and nothing but itself may import it."""


def modules(package: str) -> list[str]:
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / package).rglob("*.py"))


def imported(source: str, module: str) -> Iterator[str]:
    """Every module that `source` imports, anywhere in it, as a full name: `from a import b` gives `a.b`, relative
    imports count from `module` (a path)."""
    package = module.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            near = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*near, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def inside(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def strangers(source: str, module: str) -> list[str]:
    """The imports of `module` that its room does not allow."""
    names = list(imported(source, module))
    if inside(module.replace("/", "."), "collector"):
        return [name for name in names if inside(name, "pairing")]
    command_line = [path.removesuffix(".py").replace("/", ".") for path in COMPOSES_BOTH]
    found = [name for name in names if inside(name, "collector") and not any(inside(name, room) for room in ALLOWED)]
    return found + [name for name in names if any(inside(name, path) for path in command_line)]


@pytest.mark.parametrize("module", [*modules("collector"), *modules("pairing")])
def test_each_stage_imports_only_what_it_may(module: str) -> None:
    """The collector never imports pairing; pairing imports of the collector its records, its journal, its errors and
    its rule for hostile text, the command line apart."""
    if module not in COMPOSES_BOTH:
        assert strangers((ROOT / module).read_text(encoding="utf-8"), module) == []


@pytest.mark.parametrize(
    ("source", "module", "found"),
    [
        ("def f():\n    import pairing.build", "collector/a.py", ["pairing.build"]),
        ("from pairing import build_pairs", "collector/protocols/a.py", ["pairing.build_pairs"]),
        ("from collector import collect", "pairing/a.py", ["collector.collect"]),
        ("from pairing.run import pair", "pairing/a.py", ["pairing.run.pair"]),
        ("import collector", "pairing/formats/a.py", ["collector"]),
        ("from collector.errors import InputError\nimport collector.records.rows", "pairing/a.py", []),
        ("from . import pairing\nfrom .x import y\nimport pairings", "collector/a.py", []),
        ("from ..pairing import build", "collector/a.py", ["pairing.build"]),
    ],
)
def test_the_reader_of_imports_sees_them_all(source: str, module: str, found: list[str]) -> None:
    """Imports inside functions, of packages, and relative ones are seen; names that only begin alike are not."""
    assert strangers(source, module) == found
