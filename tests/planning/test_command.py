"""`pairmill plan` as it is typed: inputs of all kinds, one line for what cannot be, and figures that hold."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pairing.cli import main
from pairing.planning.chances import Rule
from pairing.planning.figures import plan_by_rewards
from pairing.planning.samples import read_pilot
from pairing.reading.groups import iter_groups
from pairing.settings import PairSettings
from tests.pairing.make import gym_row, our_row, write_rows


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 rollouts of 80 bundled prompts by the embedded model."""
    folder = tmp_path_factory.mktemp("plan")
    words = ["run", "--output-dir", str(folder), "--limit", "80", "--num-repeats", "8", "--temperature", "0.6"]
    assert main(words) == 0
    return folder / "rollouts.jsonl"


def planned(path: Path, *words: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["plan", "--input", str(path), *words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def some_rows(path: Path, prompts: int = 6, repeats: int = 4) -> Path:
    rows = [our_row(task, at, float(at % 2 if task else 1)) for task in range(prompts) for at in range(repeats)]
    return write_rows(path, *rows)


def test_half_of_the_rollouts_foretell_all_of_them(embedded: Path) -> None:
    """The real thing: from 4 of the embedded model's 8 rollouts, the yield and the gap at 8 lie in the interval, at
    three gaps; the model and its seeds are fixed, so this is no matter of luck."""
    prompts = read_pilot(iter_groups(embedded), PairSettings().policy(), None).prompts
    rule = Rule((0.15, 0.3, 0.6))
    truth = plan_by_rewards(prompts, (8,), rule).rows
    halves = [replace(prompt, count=4, members=prompt.members[:4]) for prompt in prompts]
    for foretold, true in zip(plan_by_rewards(halves, (8,), rule).rows, truth, strict=True):
        assert foretold.modelled == 1
        assert foretold.paired.low <= true.paired.value <= foretold.paired.high
        assert foretold.mean_gap.value == pytest.approx(true.mean_gap.value, rel=0.05)


def test_the_full_number_of_repeats_is_what_pairing_gives(embedded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At the repeats that are there nothing is estimated: yield and mean gap are those of `pairmill compare`."""
    row = planned(embedded, "--repeats", "8", "--min-gap", "0.15", capsys=capsys)["rows"][0]
    assert main(["compare", "--input", str(embedded), "--strategy", "best_worst", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert row["prompts_with_a_pair"][0] == pytest.approx(told["prompts_with_a_pair"], abs=1e-6)
    assert row["mean_gap"][0] == pytest.approx(told["mean_gap"], abs=1e-6)


def test_compressed_and_split_input_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One file, two files that share prompts, and a .gz."""
    whole = some_rows(tmp_path / "whole.jsonl")
    lines = whole.read_bytes().splitlines(keepends=True)
    (tmp_path / "a.jsonl").write_bytes(b"".join(lines[::2]))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b"".join(lines[1::2])))
    one = planned(whole, capsys=capsys)
    assert one["prompts"] == 6
    assert planned(tmp_path / "a.jsonl", str(tmp_path / "b.jsonl.gz"), capsys=capsys) == one


def test_tables_for_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What subsets tell and what the model tells is marked; pairs wanted and prices have their columns."""
    path = some_rows(tmp_path / "rollouts.jsonl")
    words = ["--repeats", "2,4,6,16", "--min-gap", "0.2", "--pairs-wanted", "1000", "--price-per-million", "2"]
    assert main(["plan", "--input", str(path), *words]) == 0
    text = capsys.readouterr().out
    for wanted in ("gap of 0.2", "prompts for 1,000", "subsets", "model", "far", "tokens: no row tells"):
        assert wanted in text, wanted


def test_another_strategy_is_resampled(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Several pairs a prompt are counted; repeats that no prompt has are left out, and that is said."""
    found = planned(some_rows(tmp_path / "r.jsonl"), "--strategy", "all_above_gap", "--repeats", "2,4,8", capsys=capsys)
    assert {row["repeats"] for row in found["rows"]} == {2, 4}
    assert max(row["pairs_per_prompt"][0] for row in found["rows"]) > 1
    assert any("repeats 8" in note for note in found["notes"])


def test_no_pair_at_all_is_exit_code_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All rewards alike: every row says 0, and a script can tell."""
    path = write_rows(tmp_path / "r.jsonl", *(our_row(task, at, 1.0) for task in range(3) for at in range(2)))
    assert main(["plan", "--input", str(path), "--repeats", "2,3"]) == 3
    assert "0.0%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--repeats", "1,4"), "a pair needs two rollouts"),
        (("--repeats", "many"), "whole numbers with commas"),
        (("--min-gap", "-1"), "0 or more"),
        (("--pairs-wanted", "0"), "--pairs-wanted 0: give a number over 0"),
        (("--require-complete", "4"), "--require-complete: leave it out"),
        (("--strategy", "best_wurst"), "did you mean best_worst"),
    ],
)
def test_bad_flags_are_one_line(
    words: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, the flag and what to give."""
    path = some_rows(tmp_path / "r.jsonl")
    assert main(["plan", "--input", str(path), *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there, and one without a rollout."""
    (tmp_path / "empty.jsonl").write_text("")
    for name, said in (("gone.jsonl", "no such file"), ("empty.jsonl", "holds no rollout")):
        assert main(["plan", "--input", str(tmp_path / name)]) == 1
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1


def test_groups_by_position(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows without index and id are one prompt by their text, and two where --group-size says so."""
    path = write_rows(tmp_path / "r.jsonl", *(gym_row(None, None, reward) for reward in (0, 1, 1, 0)))
    assert planned(path, capsys=capsys)["prompts"] == 1
    assert planned(path, "--group-size", "2", capsys=capsys)["prompts"] == 2
