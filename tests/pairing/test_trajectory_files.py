"""`--trajectory`: what each policy writes of answers of several turns, for which targets, and what the funnel says."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from collector.errors import UsageError
from pairing import render_funnel
from pairing.build import write_pairs
from pairing.cli import main
from pairing.formats import FORMATS
from pairing.formats.policy import TRAJECTORIES, Trajectory, UnfitPolicy
from pairing.reports.funnel import PairReport
from pairing.settings import PairSettings
from tests.pairing.make import Row, read_rows, write_rows
from tests.pairing.make_pairs import ADD, asked, said, straining_rows, tool_turns, user

AGENTS = asked(user("q"), tools=[ADD])(tool_turns(1, "Two, it says."), tool_turns(2, "Three, it says."))
TALKS = asked(user("q"))([said("A."), user("B?"), said("Two.")], [said("A."), user("B?"), said("So."), said("Three.")])
JSON_FORMATS = [name for name, target in FORMATS.items() if not target.parquet_only]


def pairs(folder: Path, rows: list[Row], format: str, trajectory: Trajectory) -> tuple[list[Row], PairReport]:
    settings = PairSettings(format=format, unfit=UnfitPolicy(trajectory=trajectory))
    report = write_pairs([write_rows(folder / "r.jsonl", *rows)], folder / "p.jsonl", settings, True)
    return read_rows(folder / "p.jsonl"), report


def test_split_is_the_default_and_moves_what_is_shared(tmp_path: Path) -> None:
    """A call with its result, under the chosen side's id; the sides keep what differs, and the funnel counts."""
    (row,), report = pairs(tmp_path, AGENTS, "trl", "split")
    assert PairSettings().unfit.trajectory == "split"
    assert [m["role"] for m in row["prompt"]] == ["user", "assistant", "tool"]
    assert row["prompt"][1]["tool_calls"][0]["id"] == row["prompt"][2]["tool_call_id"] == "c1"
    assert row["chosen"] == [said("Two, it says.")]
    assert row["rejected"] == [said("Three, it says.")]
    assert "~ shared_turns" in render_funnel(report)
    assert dict(report.adapted) == {"shared_turns": 1}


@pytest.mark.parametrize("format", ["openrlhf", "oumi", "nemo-rl", "trl-kto"])
def test_formats_of_several_messages_want_the_split(tmp_path: Path, format: str) -> None:
    """Their prompt takes the shared turns, their sides what is left."""
    rows, report = pairs(tmp_path, TALKS, format, "split")
    row = rows[0]
    prompt = row["context"] if format == "nemo-rl" else row["prompt"]
    assert [m["content"] for m in prompt] == ["q", "A.", "B?"]
    assert dict(report.adapted) == {"shared_turns": 1}


@pytest.mark.parametrize("format", ["trl-implicit", "recipe"])
def test_whole_conversations_and_the_rows_bytes_are_not_split(tmp_path: Path, format: str) -> None:
    """One has no prompt of its own, the other is what the row says."""
    (row,), report = pairs(tmp_path, TALKS, format, "split")
    texts = [m["content"] for m in row["chosen"]]
    assert texts[-3:] == ["A.", "B?", "Two."]
    assert dict(report.adapted) == {}


def test_whole_leaves_every_turn_on_its_side(tmp_path: Path) -> None:
    """Where the target can hold it; a target of one message counts the pair out."""
    (row,), report = pairs(tmp_path, AGENTS, "trl", "whole")
    assert [m["role"] for m in row["chosen"]] == ["assistant", "tool", "assistant"]
    assert row["rejected"][1]["tool_call_id"] == "c2"
    assert dict(report.adapted) == {}
    assert dict(pairs(tmp_path, AGENTS, "openai", "whole")[1].pair_drops) == {"unfit_several_messages": 1}
    assert pairs(tmp_path, AGENTS, "openai", "split")[1].pairs == 1


def test_last_turn_keeps_the_last_message_in_every_target(tmp_path: Path) -> None:
    """Behind what is shared, and counted: what stood between is left out."""
    (row,), report = pairs(tmp_path, TALKS, "trl", "last-turn")
    assert [m["content"] for m in row["prompt"]] == ["q", "A.", "B?"]
    assert (row["chosen"], row["rejected"]) == ([said("Two.")], [said("Three.")])
    assert dict(report.adapted) == {"shared_turns": 1, "last_turn": 1}


@pytest.mark.parametrize("format", JSON_FORMATS)
def test_single_turns_are_the_same_bytes_under_every_policy(tmp_path: Path, format: str) -> None:
    """What a trajectory policy does begins with the second message."""
    rows = [row for row in straining_rows() if len(row["output"]) == 1 and row["_ng_task_index"] not in (4, 6, 7)]
    written = set()
    for trajectory in get_args(Trajectory):
        _, report = pairs(tmp_path, rows, format, trajectory)
        written.add((tmp_path / "p.jsonl").read_bytes())
        assert dict(report.adapted) == {}
    assert len(written) == 1


def test_the_same_trajectory_under_other_ids_is_no_pair(tmp_path: Path) -> None:
    """Calls and items of other ids say the same."""
    items = [{"type": "web_search_call", "id": f"ws_{n}", "query": "q"} for n in (1, 2)]
    for chosen, rejected in (
        (tool_turns(1, "Two."), tool_turns(2, "Two.")),
        ([said("", items=items[:1]), said("x")], [said("", items=items[1:]), said("x")]),
    ):
        _, report = pairs(tmp_path, asked(user("q"))(chosen, rejected), "trl", "split")
        assert dict(report.pair_drops) == {"identical_text": 1}


def test_a_prefilled_prompt_is_told_before_anything_is_shared(tmp_path: Path) -> None:
    """Shared turns behind an assistant's beginning would hide that its meaning is lost."""
    rows = asked(user("q"), said("My answer is"))(tool_turns(1, "Two."), tool_turns(2, "Three."))
    assert dict(pairs(tmp_path, rows, "trl", "split")[1].pair_drops) == {"unfit_prompt_end": 1}


def test_images_in_an_answer_are_no_text(tmp_path: Path) -> None:
    """Some servers put generated images beside the content: such a pair is counted out, not written without them."""
    drawn = said("Here.", images=[{"type": "image_url", "image_url": {"url": "data:x"}}])
    _, report = pairs(tmp_path, asked(user("q"))([drawn], "No."), "trl", "split")
    assert dict(report.pair_drops) == {"unfit_content_parts": 1}


def test_the_flag_takes_what_the_policy_knows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every name of it, on the command line."""
    source = write_rows(tmp_path / "r.jsonl", *AGENTS)
    for name in TRAJECTORIES:
        command = ["pair", "--input", str(source), "--output", str(tmp_path / "p.jsonl"), "--overwrite"]
        assert main([*command, "--trajectory", name]) == 0
    capsys.readouterr()
    assert len(read_rows(tmp_path / "p.jsonl")[0]["prompt"]) == 3


def test_policies_that_exclude_each_other() -> None:
    """One leaves turns where they are, the other drops them."""
    with pytest.raises(UsageError, match="--unfit last-turn and --trajectory whole exclude each other"):
        UnfitPolicy.parse("last-turn", "whole")
    with pytest.raises(UsageError, match="--trajectory half: give one of split, whole, last-turn"):
        UnfitPolicy.parse("skip", "half")  # type: ignore[arg-type]
