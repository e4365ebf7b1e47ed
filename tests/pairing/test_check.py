"""`pairmill check`: every problem is found, with its line, for files that are not ours; our own files have none."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import InputError, UsageError
from pairing.checking import PROBLEMS, CheckReport, check_file
from pairing.checking.drift import Drift
from pairing.checking.layouts import LAYOUTS
from pairing.checking.render import render_check
from pairing.cli import main
from pairing.formats import FORMATS
from tests.pairing.make import Row, write_lines

USER = {"role": "user", "content": "q"}
GOOD, BAD = {"role": "assistant", "content": "good one"}, {"role": "assistant", "content": "bad one"}
PAIR: Row = {"prompt": [USER], "chosen": [GOOD], "rejected": [BAD]}
SWIFT: Row = {"messages": [USER, GOOD], "rejected_response": "bad one"}
RANKED: Row = {"context": [USER], "completions": [{"rank": 0, "completion": [GOOD]}, {"rank": 1, "completion": [BAD]}]}
AXOLOTL: Row = {"messages": [USER], "chosen": GOOD, "rejected": BAD}
SHAREGPT: Row = {
    "conversations": [{"from": "human", "value": "q"}],
    "chosen": {"from": "gpt", "value": "good one"},
    "rejected": {"from": "gpt", "value": "bad one"},
}
SERVICE: Row = {"input": {"messages": [USER]}, "preferred_output": [GOOD], "non_preferred_output": [BAD]}
WHOLE: Row = {"chosen": [USER, GOOD], "rejected": [USER, BAD]}
KTO: Row = {"prompt": [USER], "completion": [GOOD], "label": True}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def said(text: Any, **more: Any) -> Row:
    return {"role": "assistant", "content": text, **more}


def checked(folder: Path, target: str, *rows: Row | str) -> CheckReport:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    return check_file(write_lines(folder / "p.jsonl", lines), target)


CALLS = said("", tool_calls=[CALL])
EVEN = [{"from": tag, "value": "q"} for tag in ("human", "gpt")]
ITEMS = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]}]
SHAREGPT_IMAGE = {**SHAREGPT, "conversations": [{"from": "human", "value": "<image> q"}]}
SWIFT_IMAGE = {**SWIFT, "messages": [{**USER, "content": "q <image>"}, GOOD]}
TRAPS: Sequence[tuple[str, str, Row | str]] = [
    ("not_json", "trl", "{broken"),
    ("not_json", "trl", '{"prompt": NaN}'),
    ("not_object", "trl", "[1]"),
    ("empty_line", "trl", ""),
    ("missing_key", "trl", {"prompt": [USER], "chosen": [GOOD]}),
    ("missing_key", "openai", {**SERVICE, "input": {}}),
    ("wrong_type", "trl", {**PAIR, "chosen": "text"}),
    ("wrong_type", "trl-standard", PAIR),
    ("wrong_type", "trl", {**PAIR, "chosen": [said(3)]}),
    ("wrong_type", "nemo-aligner", {"prompt": "q", "chosen_response": GOOD, "rejected_response": BAD}),
    ("empty_prompt", "trl", {**PAIR, "prompt": []}),
    ("empty_prompt", "open-instruct", {"chosen": [GOOD], "rejected": [BAD]}),
    ("empty_side", "trl", {**PAIR, "chosen": [said(" ")]}),
    ("empty_side", "trl", {**PAIR, "rejected": []}),
    ("identical_sides", "trl", {**PAIR, "rejected": [GOOD]}),
    ("identical_sides", "ms-swift", {**SWIFT, "rejected_response": "good one"}),
    ("reward_order", "trl", {**PAIR, "meta": {"chosen_reward": 0.2, "rejected_reward": 0.2}}),
    ("responses_items", "trl", {**PAIR, "chosen": ITEMS}),
    ("responses_items", "recipe", {**PAIR, "chosen": [{"type": "reasoning", "summary": []}], "reward_gap": 1.0}),
    ("bad_message", "trl", {**PAIR, "chosen": ["text"]}),
    ("null_content", "axolotl", {**AXOLOTL, "chosen": said(None)}),
    ("content_parts", "trl", {**PAIR, "chosen": [said([{"type": "text", "text": "a"}])]}),
    ("content_parts", "trl", {**PAIR, "chosen": [said([{"type": "image"}])], "images": []}),
    ("content_parts", "nemo-rl", {**RANKED, "context": [{**USER, "content": [{"type": "image"}]}], "images": ["a"]}),
    ("image_count", "trl", {**PAIR, "prompt": [{**USER, "content": [{"type": "text", "text": "q"}]}], "images": ["a"]}),
    ("image_count", "llama-factory", {**SHAREGPT, "images": ["a.png"]}),
    ("image_count", "llama-factory", {**SHAREGPT, "chosen": {"from": "gpt", "value": "<image>"}, "images": []}),
    ("image_count", "ms-swift", {**SWIFT, "messages": [{**USER, "content": "<image> " * 2}, GOOD], "images": ["a"]}),
    ("image_source", "llama-factory", {**SHAREGPT_IMAGE, "images": ["https://example.org/a.png"]}),
    ("image_source", "ms-swift", {**SWIFT_IMAGE, "images": ["data:image/png,abc"]}),
    ("image_source", "trl", {**PAIR, "images": [None]}),
    ("image_mark", "trl", {**PAIR, "rejected": [said("an <image>")], "images": ["a.png"]}),
    ("wrong_type", "trl", {**PAIR, "images": None}),
    ("reasoning_unsupported", "nemo-rl", {**RANKED, "context": [USER, said("a", reasoning_content="b"), USER]}),
    ("tools_unsupported", "openrlhf", {**PAIR, "chosen": [said("a", tool_calls=[CALL])]}),
    ("tools_unsupported", "axolotl", {**AXOLOTL, "tools": [{"type": "function"}]}),
    ("tools_unsupported", "openai", {**SERVICE, "preferred_output": [said("a", tool_calls=[CALL])]}),
    ("tools_as_objects", "trl", {**PAIR, "tools": [{"type": "function"}]}),
    ("tools_not_json", "trl", {**PAIR, "tools": "add(a, b)"}),
    ("several_messages", "together", {**SERVICE, "preferred_output": [GOOD, GOOD]}),
    ("not_assistant", "trl", {**PAIR, "chosen": [USER]}),
    (
        "tool_output_trained",
        "trl",
        {**PAIR, "chosen": [said("", tool_calls=[CALL]), {"role": "tool", "content": "2"}, GOOD]},
    ),
    ("prefill", "trl", {**PAIR, "prompt": [USER, said("It is")]}),
    ("shared_start", "trl-implicit", {"chosen": [USER, GOOD, USER, GOOD], "rejected": [USER, GOOD, USER, BAD]}),
    ("task_name", "nemo-rl", {**RANKED, "task_name": "mine"}),
    ("equal_ranks", "nemo-rl", {**RANKED, "completions": [{"rank": 1, "completion": [side]} for side in (GOOD, BAD)]}),
    ("not_two", "nemo-rl", {**RANKED, "completions": [{"rank": 0, "completion": [GOOD]}]}),
    ("alternation", "llama-factory", {**SHAREGPT, "conversations": [{"from": "human", "value": "q"}] * 3}),
    (
        "even_turns",
        "llama-factory",
        {**SHAREGPT, "conversations": [{"from": f, "value": "q"} for f in ("human", "gpt")]},
    ),
    ("side_prefix", "ms-swift", {**SWIFT, "rejected_reward": 0.0}),
    ("empty_content_calls", "axolotl", {**AXOLOTL, "chosen": said("", tool_calls=[CALL])}),
    ("template_text", "axolotl", {**AXOLOTL, "chosen": said("2023")}),
    ("spaced_ends", "axolotl", {**AXOLOTL, "chosen": said(" good one")}),
    ("prompt_differs", "torchtune", {**WHOLE, "rejected": [{**USER, "content": "other"}, BAD]}),
    ("unknown_key", "fireworks", {**SERVICE, "meta": {}}),
    ("label_not_bool", "trl-kto", {**KTO, "label": 1}),
    ("several_systems", "ms-swift", {**SWIFT, "messages": [USER, {"role": "system", "content": "s"}, USER, GOOD]}),
]
FINE_TEXT: Row = {"prompt": "q", "chosen": "a", "rejected": "b"}
OF_SEVERAL_ROWS: Sequence[tuple[str, str, list[Row | str]]] = [
    ("no_rows", "trl", []),
    ("file_kind", "verl", [FINE_TEXT]),
    ("mixed_types", "trl", [{**PAIR, "x": 1}, {**PAIR, "x": "one"}]),
    ("some_rows_only", "trl", [PAIR, {**PAIR, "x": 1}]),
    ("chat_template_kwargs", "trl", [PAIR, {**PAIR, "chat_template_kwargs": {"thinking": True}}]),
    ("neighbours", "trl-kto", [KTO, {**KTO, "label": False, "completion": [BAD]}]),
    ("too_many_columns", "trl", [{**PAIR, **{f"k{n}": n for n in range(500)}}]),
]
FINE = {
    "trl": PAIR,
    "trl-standard": FINE_TEXT,
    "trl-implicit": WHOLE,
    "trl-kto": KTO,
    "nemo-rl": RANKED,
    "nemo-aligner": {"prompt": [USER], "chosen_response": GOOD, "rejected_response": BAD},
    "axolotl": AXOLOTL,
    "axolotl-intel": {"system": "", "question": "q", "chosen": "a", "rejected": "b"},
    "llama-factory": SHAREGPT,
    "llama-factory-alpaca": {"instruction": "q", "input": "", "chosen": "a", "rejected": "b"},
    "ms-swift": SWIFT,
    "openai": SERVICE,
}


@pytest.mark.parametrize(("problem", "target", "row"), TRAPS)
def test_each_trap_is_found_with_its_line(tmp_path: Path, problem: str, target: str, row: Row | str) -> None:
    """It stands in the third line of a file that is otherwise right, and nothing is found in the first."""
    good = json.dumps(FINE.get(target, PAIR | {"reward_gap": 1.0} if target == "recipe" else FINE["trl"]))
    if target in ("openrlhf", "open-instruct", "torchtune", "together", "fireworks"):
        good = json.dumps({"openrlhf": PAIR, "open-instruct": WHOLE, "torchtune": WHOLE}.get(target, SERVICE))
    report = checked(tmp_path, target, good, row)
    assert tuple({number for number, _ in report.shown[problem]}) == (2,), report.shown
    assert not any(number == 1 for shown in report.shown.values() for number, _ in shown)
    assert PROBLEMS[problem].sentence in render_check(report)


@pytest.mark.parametrize(("problem", "target", "rows"), OF_SEVERAL_ROWS)
def test_what_only_several_rows_show(tmp_path: Path, problem: str, target: str, rows: list[Row | str]) -> None:
    """Types that change, columns that come and go, neighbours, and a file of nothing."""
    assert checked(tmp_path, target, *rows).counts[problem] == 1


def test_a_type_that_comes_late(tmp_path: Path) -> None:
    """A column that is null in the first 10 MiB, or absent there, and text after: HF datasets refuses it. Early is
    right."""
    filler = {**PAIR, "x": None, "pad": "p" * 600_000}
    late = checked(tmp_path, "trl", *[filler] * 20, {**filler, "x": "text"})
    assert late.shown["late_type"] == [(21, "x is text")]
    early = checked(tmp_path, "trl", {**filler, "x": "text"}, *[filler] * 20)
    assert early.counts["late_type"] == 0


def test_every_problem_has_a_test_and_stands_in_the_docs() -> None:
    """No rule without a row that trips it; the docs' table is the registry."""
    assert {*(name for name, *_ in (*TRAPS, *OF_SEVERAL_ROWS)), "late_type"} == set(PROBLEMS)
    docs = (Path(__file__).parents[2] / "docs" / "formats.md").read_text(encoding="utf-8").split("\n## check\n")[1]
    told = re.findall(r"^\| `([a-z_]+)` \| (.*) \| (.*) \|$", docs, re.MULTILINE)
    wanted = [(p.name, p.sentence + ("" if p.wrong else " (told, no error)"), p.remedy) for p in PROBLEMS.values()]
    assert wanted == told
    assert LAYOUTS.keys() == FORMATS.keys()


@pytest.mark.parametrize("target", FINE)
def test_the_target_is_told_from_the_keys(tmp_path: Path, target: str) -> None:
    """And the report says by which; nothing is wrong with these rows."""
    report = checked(tmp_path, "auto", FINE[target])
    assert report.target == target
    assert report.told_by
    assert dict(report.counts) == {}


def test_a_target_that_cannot_be_told(tmp_path: Path) -> None:
    """One line that asks for it; so does a name that is none, and a file that is not there."""
    with pytest.raises(UsageError, match=r"p\.jsonl: the target cannot be told .* give --target NAME"):
        checked(tmp_path, "auto", {"text": "a"})
    with pytest.raises(UsageError, match="--target nope: give auto or one of axolotl, "):
        checked(tmp_path, "nope", PAIR)
    with pytest.raises(InputError, match=r"none\.jsonl: no such file"):
        check_file(tmp_path / "none.jsonl")


def test_the_command_exits_with_3_when_something_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0 for a right file, and for one with nothing but cautions."""
    path = write_lines(tmp_path / "p.jsonl", [json.dumps(PAIR)] * 2)
    assert main(["check", str(path)]) == 0
    assert "2 rows, target trl (told from chosen, prompt, rejected" in capsys.readouterr().out
    write_lines(path, [json.dumps({**PAIR, "tools": [{"a": 1}]})])
    assert main(["check", str(path), "--target", "trl"]) == 0
    assert "tools_as_objects: 1 (no error)" in capsys.readouterr().out
    write_lines(path, [json.dumps({**PAIR, "rejected": [GOOD]})] * 5)
    assert main(["check", str(path), "--show", "2"]) == 3
    out = capsys.readouterr().out
    assert "  line 2\n  and 3 more\n" in out
    assert "5 of 5 lines have something wrong for trl" in out


def test_hostile_text_reaches_no_terminal(tmp_path: Path) -> None:
    """Keys and values of the file are shown without what moves a cursor."""
    evil = "\x1b[2J\u202e\x07"
    row = {**SERVICE, f"key{evil}": 1, "preferred_output": [{"type": f"message{evil}"}]}
    shown = render_check(checked(tmp_path, "openai", row, {**AXOLOTL, evil: 1}))
    assert "unknown_key" in shown
    assert all(char.isprintable() or char == "\n" for char in shown)


NAMES = st.sampled_from(["role", "content", "type", "tool_calls", "rank", "x"])
NUMBERS = st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
KEYS = sorted(
    {key for row in (*FINE.values(), RANKED) for key in row} | {"tools", "meta", "label", "rejected_messages"}
)


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6), max_size=4), st.sampled_from(sorted(FORMATS)))
def test_no_row_ends_the_check(tmp_path_factory: pytest.TempPathFactory, rows: list[Row], target: str) -> None:
    """Whatever JSON stands in a file, it is looked through to its end."""
    report = checked(tmp_path_factory.getbasetemp(), target, *rows)
    assert report.rows == len(rows)
    assert set(report.counts) <= set(PROBLEMS)
    render_check(report)


def test_memory_does_not_grow_with_columns() -> None:
    """A file whose every row has keys of its own is followed for some hundred of them."""
    drift = Drift()
    for number in range(2000):
        list(drift.notes({f"key{number}": number}, 0))
    assert len(drift._columns) <= 400


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """Nor is a pipe: one line."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(InputError, match="no such file"):
            check_file(path)


def test_a_byte_order_mark_is_named(tmp_path: Path) -> None:
    """The line looks right in an editor; the mark is what a loader trips over."""
    (tmp_path / "p.jsonl").write_bytes(
        b"\xef\xbb\xbf" + json.dumps(PAIR).encode() + b"\r\n" + json.dumps(PAIR).encode()
    )
    report = check_file(tmp_path / "p.jsonl", "trl")
    assert dict(report.counts) == {"not_json": 1}
    assert "byte order mark" in report.shown["not_json"][0][1]


@pytest.mark.parametrize("target", sorted(FORMATS))
def test_nesting_as_deep_as_a_reader_takes_it(tmp_path: Path, target: str) -> None:
    """Found or passed over, in the prompt and on the sides: no row ends the check."""
    deep = "[" * 990 + "]" * 990
    keys = ("prompt", "messages", "context", "conversations", "completion", "chosen", "rejected", "completions")
    line = f'{{{", ".join(f"{json.dumps(key)}: {deep}" for key in keys)}, "label": true}}'
    assert check_file(write_lines(tmp_path / "p.jsonl", [line, line]), target).wrong


def test_an_array_of_rows_is_said_where_the_target_cannot_be_told(tmp_path: Path) -> None:
    """The commonest file that is no JSON lines: the first line's fault stands in the error."""
    with pytest.raises(UsageError, match=r"from the first rows \(line 1 is not_object\): give --target"):
        check_file(write_lines(tmp_path / "p.json", [json.dumps([PAIR, PAIR])]))


def test_a_run_that_called_and_then_said_nothing_is_no_empty_side(tmp_path: Path) -> None:
    """Where the sides are whole conversations of several turns, all that is not shared is the side."""
    said_nothing = [USER, CALLS, {"role": "tool", "tool_call_id": "c", "content": "2"}, said("")]
    row = {"chosen": said_nothing, "rejected": [USER, BAD], "margin": 1.0}
    assert not checked(tmp_path, "trl-implicit", row).wrong
    assert checked(tmp_path, "trl-implicit", {"chosen": [USER, said("")], "rejected": [USER, BAD]}).counts["empty_side"]


URI = "data:image/png;base64,iVBORw0KGgo="
IN_PARTS = [{**USER, "content": [{"type": "text", "text": "q"}, {"type": "image", "text": None}]}]


@pytest.mark.parametrize(
    ("target", "row"),
    [
        ("trl", {**PAIR, "images": ["a.png", URI]}),
        ("trl", {**PAIR, "prompt": IN_PARTS, "images": ["https://example.org/a.png"]}),
        ("trl", {**PAIR, "images": []}),
        ("llama-factory", {**SHAREGPT_IMAGE, "images": ["a.png"]}),
        ("llama-factory", {**SHAREGPT, "images": []}),
        ("llama-factory", {**SHAREGPT, "images": None}),
        ("ms-swift", {**SWIFT_IMAGE, "images": [URI]}),
        ("ms-swift", {**SWIFT_IMAGE, "images": []}),
    ],
)
def test_images_where_the_trainer_looks_for_them(tmp_path: Path, target: str, row: Row) -> None:
    """As many places as images, each given as the trainer opens it: nothing is found."""
    assert not checked(tmp_path, target, row).counts


def test_a_service_takes_no_parquet(tmp_path: Path) -> None:
    """Its rows have no fixed columns; the file's name tells before any row does."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist([SERVICE]), tmp_path / "p.parquet")
    assert dict(check_file(tmp_path / "p.parquet", "openai").counts) == {"file_kind": 1}
