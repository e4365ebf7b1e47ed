"""What becomes of a pair that a format cannot hold: skipped and counted, an error, or made to fit and counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.errors import OutputError, UsageError
from pairing import render_funnel
from pairing.build import write_pairs
from pairing.checking import check_file
from pairing.formats import FORMATS
from pairing.formats.policy import UnfitPolicy
from pairing.reports.funnel import PairReport
from pairing.settings import PairSettings
from tests.pairing.make import Row, read_rows, write_rows
from tests.pairing.make_pairs import asked, said, straining_rows, tool_turns, user


def pairs(folder: Path, rows: list[Row], format: str, unfit: str = "skip") -> tuple[list[Row], PairReport]:
    settings = PairSettings(format=format, unfit=UnfitPolicy.parse(unfit))
    report = write_pairs([write_rows(folder / "r.jsonl", *rows)], folder / "p.jsonl", settings, True)
    return read_rows(folder / "p.jsonl"), report


SEVERAL = asked(user("q"))([said("First."), user("Go on."), said("Last one.")], [said("Only one.")])
SHARED = asked(user("q"))([said("A."), user("B?"), said("Well, two.")], [said("A."), user("B?"), said("Well, three.")])
REASONED = asked(user("q"))([said("Good words.", reasoning_content="Because.")], "Other words.")


def test_skip_counts(tmp_path: Path) -> None:
    """The default: no row, and the reason in the funnel."""
    rows, report = pairs(tmp_path, SEVERAL, "axolotl")
    assert rows == []
    assert dict(report.pair_drops) == {"unfit_several_messages": 1}
    assert "--unfit last-turn keeps the last" in render_funnel(report)


def test_last_turn_keeps_the_last_message(tmp_path: Path) -> None:
    """Of each side, and the funnel and the row's own metadata say so."""
    (row,), report = pairs(tmp_path, SEVERAL, "axolotl", "last-turn")
    assert (row["chosen"]["content"], row["rejected"]["content"]) == ("Last one.", "Only one.")
    assert row["meta"]["adapted"] == "last_turn"
    assert dict(report.adapted) == {"last_turn": 1}
    assert "~ last_turn" in render_funnel(report)


def test_what_both_sides_share_moves_into_the_prompt(tmp_path: Path) -> None:
    """Nothing is lost by that, so that no policy is needed; it is counted all the same."""
    (row,), report = pairs(tmp_path, SHARED, "axolotl")
    assert [message["content"] for message in row["messages"]] == ["q", "A.", "B?"]
    assert (row["chosen"]["content"], row["rejected"]["content"]) == ("Well, two.", "Well, three.")
    assert dict(report.adapted) == {"shared_turns": 1}


def test_reasoning_goes_into_the_text(tmp_path: Path) -> None:
    """With the policy; without it the pair is counted out."""
    assert dict(pairs(tmp_path, REASONED, "axolotl")[1].pair_drops) == {"unfit_reasoning": 1}
    (row,), report = pairs(tmp_path, REASONED, "axolotl", "inline-reasoning")
    assert row["chosen"]["content"] == "<think>\nBecause.\n</think>\n\nGood words."
    assert row["rejected"]["content"] == "Other words."
    assert dict(report.adapted) == {"inline_reasoning": 1}


def test_both_policies_at_once(tmp_path: Path) -> None:
    """The row names both; a row that fits as it is names none, with the same columns."""
    both = asked(user("q"))([said("A."), user("B?"), said("Last.", reasoning_content="Because.")], "Other words.")
    plain = asked(user("p"), task=1)("Good words.", "Other words.")
    rows, report = pairs(tmp_path, [*both, *plain], "ms-swift", "last-turn,inline-reasoning")
    assert [row["meta"]["adapted"] for row in rows] == ["last_turn,inline_reasoning", ""]
    assert dict(report.adapted) == {"last_turn": 1, "inline_reasoning": 1}


def test_services_count_what_was_changed_too(tmp_path: Path) -> None:
    """Their rows have no metadata, the funnel has."""
    (row,), report = pairs(tmp_path, REASONED, "openai", "inline-reasoning")
    assert row["preferred_output"][0]["content"].startswith("<think>")
    assert dict(report.adapted) == {"inline_reasoning": 1}


def test_error_ends_the_run(tmp_path: Path) -> None:
    """With the prompt, the reason and the way out; nothing is left behind."""
    told = r"prompt [0-9a-f]{16} does not fit --format axolotl: .*unfit_several_messages"
    with pytest.raises(OutputError, match=told):
        pairs(tmp_path, SEVERAL, "axolotl", "error")
    assert [path.name for path in tmp_path.iterdir()] == ["r.jsonl"]


@pytest.mark.parametrize("workers", [1, 2])
def test_several_processes_count_and_refuse_alike(tmp_path: Path, workers: int) -> None:
    """What was changed to fit is counted whoever paired it; an error of any process is that one line."""
    padding = "p" * 60_000
    rows = [
        row
        for task in range(200)
        for row in asked(user(f"q{task}"), task=task)([said(padding, reasoning_content="Because.")], f"Words {task}.")
    ]
    source = write_rows(tmp_path / "r.jsonl", *rows)
    for unfit in ("inline-reasoning", "error"):
        settings = PairSettings(format="ms-swift", unfit=UnfitPolicy.parse(unfit), workers=workers)
        if unfit == "error":
            with pytest.raises(OutputError, match="unfit_reasoning"):
                write_pairs([source], tmp_path / "p.jsonl", settings, True)
        else:
            assert dict(write_pairs([source], tmp_path / "p.jsonl", settings, True).adapted) == {
                "inline_reasoning": 200
            }


def test_a_policy_that_does_not_help_skips(tmp_path: Path) -> None:
    """Tools in a format without tools: nothing makes them fit."""
    rows = asked(user("q"))(tool_turns(1, "Two, it says."), tool_turns(2, "Three, it says."))
    assert dict(pairs(tmp_path, rows, "nemo-rl", "last-turn,inline-reasoning")[1].pair_drops) == {"unfit_tools": 1}


def test_the_same_rows_twice_give_the_same_bytes(tmp_path: Path) -> None:
    """Policies included."""
    pairs(tmp_path, straining_rows(), "axolotl", "last-turn,inline-reasoning")
    first = (tmp_path / "p.jsonl").read_bytes()
    pairs(tmp_path, list(reversed(straining_rows())), "axolotl", "last-turn,inline-reasoning")
    assert (tmp_path / "p.jsonl").read_bytes() == first


@pytest.mark.parametrize(
    ("text", "said"),
    [("drop", "drop is none of skip"), ("skip,", "an empty name is none"), ("skip,error", "skip and error exclude")],
)
def test_a_policy_that_is_none(text: str, said: str) -> None:
    """One line with the flag and what it takes."""
    with pytest.raises(UsageError, match=f"--unfit {text}: {said}"):
        UnfitPolicy.parse(text)


@pytest.mark.parametrize("format", sorted(FORMATS))
@pytest.mark.parametrize("end", [tool_turns(1, "")[:2], [said("Which one?"), user("The last.")]])
def test_a_side_that_ends_with_another_than_the_assistant(tmp_path: Path, format: str, end: list[Row]) -> None:
    """A run that stopped behind a call's result has no last word to train on: the pair is counted out, and what is
    written passes the check of its own target. The recipe writes rows as they came."""
    name = "p.parquet" if format == "verl" else "p.jsonl"
    rows = write_rows(tmp_path / "r.jsonl", *asked(user("q"))(end, [said("Only one.")]))
    report = write_pairs([rows], tmp_path / name, PairSettings(format=format), False)
    assert report.pairs == (format == "recipe")
    assert check_file(tmp_path / name, format).counts.keys() <= {"no_rows", "tool_output_trained"}


def test_the_last_turn_of_such_a_side_is_none(tmp_path: Path) -> None:
    """No policy makes a user's turn an answer."""
    rows = asked(user("q"))([said("Which one?"), user("The last.")], [said("Only one.")])
    assert dict(pairs(tmp_path, rows, "trl", "last-turn")[1].pair_drops) == {"unfit_last_role": 1}
