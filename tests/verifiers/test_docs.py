"""What docs/verifiers.md says is so: its specifications build, its tables score as printed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from collector.verifiers import REGISTRY, verifier_of
from tests.verifiers.make import SETTINGS, build, make_reply, make_task

DOCS = (Path(__file__).parents[2] / "docs" / "verifiers.md").read_text()


def example_lines() -> Iterator[str]:
    """Every line of flags in a block of the docs."""
    for block in re.findall(r"^```\n(.*?)^```", DOCS, re.DOTALL | re.MULTILINE):
        yield from (line for line in block.splitlines() if line.startswith(("--verifier", "--veto")))


def example_rows(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without their backticks."""
    table = DOCS.partition(f"\n## {heading}\n")[2].partition("\n|")[2].partition("\n\n")[0]
    rows = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return rows[2:]


@pytest.mark.parametrize("line", list(example_lines()))
def test_the_examples_build(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line of flags in the docs is a verifier."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    Path("rewards").mkdir()
    for file in ("rewards/mine.py", "my_rewards.py"):
        Path(file).write_text("def score(row, text):\n    return 1.0\n")
    Path("person.json").write_text('{"type": "object"}')
    words = shlex.split(line)
    given = list(zip(words[::2], words[1::2], strict=True))
    verifiers = tuple(spec for flag, spec in given if flag == "--verifier")
    vetoes = tuple(spec for flag, spec in given if flag == "--veto")
    assert verifier_of(replace(SETTINGS, verifier=verifiers, vetoes=vetoes)) is not None


def test_every_verifier_is_in_the_docs() -> None:
    """The docs name each entry of the registry as a row of a table or as a heading."""
    missing = [name for name in REGISTRY if f"| `{name}` |" not in DOCS and f"\n## {name}\n" not in DOCS]
    assert missing == []


async def test_the_table_of_math_is_true() -> None:
    """Each row of math's table scores as printed."""
    rows = example_rows("math")
    assert len(rows) > 5
    async with build("math:workers=1,timeout=20") as verifier:
        for expected, text, reward in rows:
            verdict = await verifier.verify(make_task({"expected_answer": expected}), make_reply(text))
            assert [expected, text, f"{verdict.reward:g}"] == [expected, text, reward]


async def test_the_mix_of_the_docs_scores_as_printed() -> None:
    """The number without its reason is worth 0.7, with the components that stand there."""
    line = next(line for line in example_lines() if "0.7*" in line)
    verifier = verifier_of(replace(SETTINGS, verifier=tuple(shlex.split(line)[1::2])))
    assert verifier is not None
    verdict = await verifier.verify(make_task({"expected_answer": "4", "reason": "even"}), make_reply("It is 4"))
    assert verdict.reward == pytest.approx(0.7)
    assert str(dict(verdict.components)).replace("'", '"') in DOCS
