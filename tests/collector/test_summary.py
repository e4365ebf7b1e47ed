"""Means, spreads and oddities of a rollouts file, and text made safe for a terminal."""

from __future__ import annotations

import re
import statistics
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.records.flags import FLAGS
from collector.records.spread import Spread
from collector.summary import summarise
from collector.terminal import plain


def test_every_numeric_field_has_a_mean(tmp_path: Path) -> None:
    """Numbers and booleans count where they stand; strings, objects, indices and seeds do not."""
    path = tmp_path / "r.jsonl"
    rows = [
        {"_ng_task_index": 0, "reward": 0.5, "accuracy": True, "seed": 9, "id": "7", "usage": {"n": 1}},
        {"_ng_task_index": 9, "reward": 1, "accuracy": False, "seed": 9, "extra": None, "steps": 4},
    ]
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows) + b"torn {\n")
    summary = summarise(path)
    assert summary.rows == 2
    assert summary.means == {"reward": 0.75, "accuracy": 0.5, "steps": 4.0}
    assert (summary.numbers["reward"].minimum, summary.numbers["reward"].maximum) == (0.5, 1.0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50))
def test_a_spread_equals_those_of_the_whole_list(values: list[float]) -> None:
    """One pass gives what the textbook formulas give on the list."""
    spread = Spread()
    for value in values:
        spread.add_one(value)
    assert spread.mean == pytest.approx(statistics.fmean(values), abs=1e-6)
    assert spread.std == pytest.approx(statistics.pstdev(values), rel=1e-6, abs=1e-6)


def test_hostile_text_is_plain_in_the_terminal() -> None:
    """Colours, cursor moves, window titles, bells and direction overrides are gone; the words stay."""
    hostile = "\x1b[31mred\x1b[0m \x1b]0;title\x07 a\x08b \u202eevil\u202c \x9b2J end\r\n"
    assert plain(hostile) == "red ab evil 2J end"
    assert plain("two\nlines", newlines=True) == "two\nlines"


def rollouts(path: Path, *rows: tuple[int, Any, str], **more: Any) -> Path:
    """A stream of (task index, seed, text)."""
    turns = {text: [{"role": "assistant", "content": text}] for _, _, text in rows}
    lines = [
        orjson.dumps({"_ng_task_index": task, "seed": seed, "output": turns[text], **more}) for task, seed, text in rows
    ]
    path.write_bytes(b"\n".join(lines))
    return path


def test_flags_are_counted_and_said(tmp_path: Path) -> None:
    """Each with its share and what to do; those that are nothing odd stand together; a foreign field is none."""
    flags: list[Any] = [["truncated", "reasoning"], ["truncated", "truncated"], [], "truncated", {"a": 1}, ["theirs"]]
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"".join(orjson.dumps({"reward": 1, "flags": given}) + b"\n" for given in flags) + b"{}\n{}\n")
    summary = summarise(path)
    assert summary.flags == {"truncated": 2, "reasoning": 1}
    assert summary.oddities() == [
        "truncated 2 (25.0%): cut at the token limit: raise --max-output-tokens",
        "with reasoning 1",
    ]
    path.write_bytes(b"{}\n")
    assert summarise(path).oddities() == []


def test_every_flag_that_the_documents_name_is_counted() -> None:
    """docs/stream.md and the code have one list."""
    text = Path("docs/stream.md").read_text(encoding="utf-8")
    table = text.partition("### Flags")[2].partition("## A failure")[0]
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == sorted(FLAGS)


def test_identical_samples_are_those_of_one_prompt(tmp_path: Path) -> None:
    """Not those of other prompts, nor empty ones; the rows' own flags are not added: a resume leaves them short."""
    path = tmp_path / "r.jsonl"
    assert summarise(rollouts(path, (0, 1, "a"), (0, 2, "a"), (0, 3, "b"), (0, 4, "a"))).flags == {"identical": 2}
    assert not summarise(rollouts(path, (0, 1, "a"), (1, 2, "a"), (2, 3, ""), (2, 4, ""))).flags
    assert summarise(rollouts(path, (0, None, "a"), (0, None, "a"))).flags == {"identical": 1}
    assert summarise(rollouts(path, (0, 1, "a"), (0, 2, "a"), flags=["identical"])).flags == {"identical": 1}


def test_only_the_last_assistant_turn_is_compared(tmp_path: Path) -> None:
    """What comes before it, and what is no assistant's, says nothing about the sample; an odd output is passed over."""
    turns = [
        [{"role": "tool", "content": "x"}, {"role": "assistant", "content": "a"}],
        [{"role": "assistant", "content": "a"}, {"role": "tool", "content": "y"}],
        5,
        [{"role": 5}],
        [],
    ]
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"".join(orjson.dumps({"_ng_task_index": 0, "output": turn}) + b"\n" for turn in turns))
    assert summarise(path).flags == {"identical": 1}


@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 3, None]), st.sampled_from(["a", "b", "c", ""])), max_size=8), st.data()
)
def test_the_order_of_a_prompts_samples_changes_no_count(draws: list[tuple[Any, str]], data: st.DataObject) -> None:
    """A resumed run completes in another order, and is summed up alike."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "r.jsonl"
        first = summarise(rollouts(path, *((0, seed, text) for seed, text in draws))).flags
        again = data.draw(st.permutations(draws))
        assert summarise(rollouts(path, *((0, seed, text) for seed, text in again))).flags == first
