"""Records: what each format writes, that columns are the same on every row, and that no content is lost in silence."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from collector.errors import OutputError, UsageError
from pairing import build_pairs
from pairing.build import pair_all
from pairing.formats import FORMATS, get_format
from pairing.guards import Guards
from pairing.output.writer import PairWriter, holds_pairs
from pairing.reading.groups import groups_by_index
from pairing.reports.funnel import Tally
from pairing.settings import PairSettings
from pairing.strategies import BestWorst
from tests.pairing.make import Row, gym_row, our_row, read_rows, write_lines, write_rows

CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}


def records(tmp_path: Path, *rows: Row, format: str = "trl") -> list[Row]:
    build_pairs(write_rows(tmp_path / "r.jsonl", *rows), tmp_path / "pairs.jsonl", format=format, overwrite=True)
    return read_rows(tmp_path / "pairs.jsonl")


def tool_rows(task: int) -> list[Row]:
    turns = [
        {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "let me add"},
        {"role": "tool", "tool_call_id": "c1", "content": "2"},
        {"role": "assistant", "content": "two"},
    ]
    rows = [our_row(task, 0, 1.0, output=turns), our_row(task, 1, 0.0)]
    for row in rows:
        row["responses_create_params"]["tools"] = [TOOL]
    return rows


def test_trl_record(tmp_path: Path) -> None:
    """Prompt, both sides and one metadata object, rewards as floats."""
    (record,) = records(tmp_path, our_row(3, 0, 0, "bad"), our_row(3, 1, 1, "good"))
    assert record == {
        "prompt": [{"role": "user", "content": "Question 3?"}],
        "chosen": [{"role": "assistant", "content": "good"}],
        "rejected": [{"role": "assistant", "content": "bad"}],
        "meta": {
            "prompt_id": our_row(3, 0)["prompt_id"],
            "task_index": 3,
            "chosen_reward": 1.0,
            "rejected_reward": 0.0,
            "reward_gap": 1.0,
            "chosen_rollout_index": 1,
            "rejected_rollout_index": 0,
            "chosen_length": 4,
            "rejected_length": 3,
            "strategy": "best_worst",
        },
    }
    assert b'"chosen_reward":1.0,' in (tmp_path / "pairs.jsonl").read_bytes()


def test_trl_reads_nemo_gym_rows(tmp_path: Path) -> None:
    """Output items become messages, instructions a system message, `developer` the role that templates know."""
    prompt = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Q"}]
    params = {"responses_create_params": {"input": prompt, "instructions": "Be kind.", "tools": []}}
    (record,) = records(tmp_path, gym_row(0, 0, 0.0, "no", **params), gym_row(0, 1, 1.0, "yes", **params))
    assert [(m["role"], m["content"]) for m in record["prompt"]] == [
        ("system", "Be kind."),
        ("system", "Be brief."),
        ("user", "Q"),
    ]
    assert record["chosen"] == [{"role": "assistant", "content": "yes"}]


def test_recipe_record_is_the_rows_own_bytes(tmp_path: Path) -> None:
    """Input and output are spliced as they stand in the row, spaces and escapes included."""
    line = '{"prompt_id":"%s","responses_create_params":{"input": [ "\\u0041" ]},"output":[ %s ],"reward":%s}'
    answer = '{"role" : "assistant","content":"%s \\/"}'
    source = [line % ("ab" * 8, answer % text, reward) for text, reward in (("a", 1), ("b", 0))]
    build_pairs(write_lines(tmp_path / "r.jsonl", source), tmp_path / "pairs.jsonl", format="recipe")
    wanted = '{"prompt":[ "\\u0041" ],"chosen":[ %s ],"rejected":[ %s ],"reward_gap":1.0}\n'
    assert (tmp_path / "pairs.jsonl").read_text() == wanted % (answer % "a", answer % "b")


def test_recipe_loses_no_instructions(tmp_path: Path) -> None:
    """A row with instructions has them in front of its prompt."""
    params = {"responses_create_params": {"input": "Q", "instructions": "Be kind."}}
    (record,) = records(tmp_path, gym_row(0, 0, 0, "a", **params), gym_row(0, 1, 1, "b", **params), format="recipe")
    assert record["prompt"] == [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Q"}]
    assert record["chosen"] == [{"role": "assistant", "content": "b"}]


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_half_a_surrogate_pair_is_mended(tmp_path: Path, format: str) -> None:
    """An answer cut inside an emoji gives a file that every reader takes."""
    if FORMATS[format].parquet_only:
        pytest.skip("needs pyarrow; the record is that of trl-standard")
    half = "half \ud83d"
    rows = [our_row(0, 0, 1.0, half, prompt_id="ab" * 8), our_row(0, 1, 0.0, prompt_id="ab" * 8)]
    for row in rows:
        row["responses_create_params"]["input"][0]["content"] = half
    found = records(tmp_path, *rows, format=format)
    assert len(found) == (2 if format == "trl-kto" else 1)
    assert json.dumps(found, ensure_ascii=False).count("half \ufffd") in (2, 3)


def test_tools_and_calls_come_along(tmp_path: Path) -> None:
    """Tool definitions as one JSON string; calls, results and reasoning in their messages."""
    (record,) = records(tmp_path, *tool_rows(0))
    assert record["tools"] == '[{"type":"function","function":{"name":"add","parameters":{"type":"object"}}}]'
    assert [m["content"] for m in record["chosen"]] == ["", "2", "two"]
    assert record["chosen"][0]["tool_calls"] == [CALL]
    assert record["chosen"][0]["reasoning_content"] == "let me add"
    assert record["chosen"][1]["tool_call_id"] == "c1"


def test_tools_of_responses_take_the_shape_of_chat(tmp_path: Path) -> None:
    """A template knows {"function": {"name": ...}}; what is null is left out, other kinds of tools stay."""
    flat = {"type": "function", "name": "add", "parameters": {"type": "object"}, "strict": None}
    search = {"type": "web_search"}
    rows = [gym_row(0, n, float(n), f"text {n}") for n in (0, 1)]
    for row in rows:
        row["responses_create_params"]["tools"] = [flat, search, TOOL]
    (record,) = records(tmp_path, *rows)
    assert json.loads(record["tools"]) == [TOOL, search, TOOL]


def test_every_row_has_the_same_columns(tmp_path: Path) -> None:
    """A key that one message needs stands on all messages of that side, before and after it, and order is kept."""
    plain = [our_row(task, n, float(n)) for task in (0, 2) for n in (0, 1)]
    found = records(tmp_path, *plain, *tool_rows(1))
    assert [record["meta"]["task_index"] for record in found] == [0, 1, 2]
    assert {tuple(record) for record in found} == {("prompt", "chosen", "rejected", "tools", "meta")}
    plainly, fully = ("role", "content"), ("role", "content", "tool_calls", "tool_call_id", "reasoning_content")
    for side, keys in {"prompt": plainly, "chosen": fully, "rejected": plainly}.items():
        messages = [m for record in found for m in record[side]]
        assert {tuple(m) for m in messages} == {keys}
        assert all(isinstance(m["content"], str) for m in messages)
    assert found[0]["tools"] == "[]"


def test_a_late_column_is_seen_in_the_first_batch(tmp_path: Path) -> None:
    """Past the first batch, the row that brings a column of untold type goes to the front; all other rows keep their
    order."""
    rows = [our_row(task, n, float(n)) for task in (0, 1, 3) for n in (0, 1)] + tool_rows(2)
    source = write_rows(tmp_path / "r.jsonl", *rows)
    with PairWriter(tmp_path / "pairs.jsonl", get_format("trl"), first_batch=100) as writer:
        tally = Tally()
        pair_all(groups_by_index([source], tally.read), PairSettings().policy(), tally, writer)
        writer.commit()
    found = read_rows(tmp_path / "pairs.jsonl")
    assert [record["meta"]["task_index"] for record in found] == [2, 0, 1, 3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.jsonl", "r.jsonl"]


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ([{"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}], "unfit_content_parts"),
        ([{"type": "web_search_call", "id": "w"}], "unfit_items"),
        ([{"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x"}], "unfit_tool_call"),
    ],
)
def test_what_a_format_cannot_hold_is_counted(tmp_path: Path, output: list[Row], reason: str) -> None:
    """TRL's text record refuses the pair under a reason; the recipe's record takes it as it is."""
    source = write_rows(tmp_path / "r.jsonl", our_row(0, 0, 1.0, output=output), our_row(0, 1, 0.0))
    report = build_pairs(source, tmp_path / "trl.jsonl")
    assert (dict(report.pair_drops), dict(report.group_drops)) == ({reason: 1}, {reason: 1})
    assert build_pairs(source, tmp_path / "recipe.jsonl", format="recipe").pairs == 1


@pytest.mark.parametrize("format", sorted(FORMATS))
def test_a_side_without_message(tmp_path: Path, format: str) -> None:
    """With the guards off an answer of no items reaches the format, which says what it makes of it."""
    if FORMATS[format].parquet_only:
        pytest.skip("needs pyarrow; the record is that of trl-standard")
    source = write_rows(tmp_path / "r.jsonl", our_row(0, 0, 1.0), our_row(0, 1, 0.0, output=[]))
    report = build_pairs(source, tmp_path / "pairs.jsonl", guards=Guards.none(), format=format)
    assert dict(report.pair_drops) == ({} if format == "recipe" else {"unfit_no_message": 1})


def test_existing_output_is_kept(tmp_path: Path) -> None:
    """Without overwrite nothing is replaced; an input is never an output; no draft is left behind."""
    source = write_rows(tmp_path / "r.jsonl", our_row(0, 0, 1.0), our_row(0, 1, 0.0))
    (tmp_path / "pairs.jsonl").write_text("mine")
    with pytest.raises(OutputError, match=r"pairs\.jsonl exists already: give --overwrite"):
        build_pairs(source, tmp_path / "pairs.jsonl")
    assert (tmp_path / "pairs.jsonl").read_text() == "mine"
    with pytest.raises(OutputError, match="is one of the inputs"):
        build_pairs(source, source, overwrite=True)
    with pytest.raises(OutputError, match="cannot be written: No such file or directory"):
        build_pairs(source, tmp_path / "no" / "pairs.jsonl")
    assert build_pairs(source, tmp_path / "pairs.jsonl", overwrite=True).pairs == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.jsonl", "r.jsonl"]


@pytest.mark.parametrize("overwrite", [True, False])
def test_an_empty_output_is_no_output(tmp_path: Path, overwrite: bool) -> None:
    """A run without a pair leaves an empty file: the next one may take its place, with nothing lost."""
    source = write_rows(tmp_path / "r.jsonl", our_row(0, 0, 1.0), our_row(0, 1, 0.0))
    output = tmp_path / "pairs.jsonl"
    assert not holds_pairs(output)
    output.touch()
    assert not holds_pairs(output)
    assert build_pairs(source, output, overwrite=overwrite).written
    assert holds_pairs(output)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.jsonl", "r.jsonl"]


@pytest.mark.parametrize("line", ["", "{torn\n", '{"prompt": "a"}\n'])
def test_without_a_rollout_nothing_is_written(tmp_path: Path, line: str) -> None:
    """An input that holds none is a mistake, and costs no earlier pairs, even with overwrite."""
    (tmp_path / "r.jsonl").write_text(line)
    report = build_pairs(tmp_path / "r.jsonl", tmp_path / "pairs.jsonl")
    assert not report.written
    assert [path.name for path in tmp_path.iterdir()] == ["r.jsonl"]
    (tmp_path / "pairs.jsonl").write_text("mine")
    build_pairs(tmp_path / "r.jsonl", tmp_path / "pairs.jsonl", overwrite=True)
    assert (tmp_path / "pairs.jsonl").read_text() == "mine"


def test_only_a_regular_file_is_replaced(tmp_path: Path) -> None:
    """A pipe or a device is never replaced by a file, overwrite or not."""
    source = write_rows(tmp_path / "r.jsonl", our_row(0, 0, 1.0), our_row(0, 1, 0.0))
    os.mkfifo(tmp_path / "pipe")
    for output in (tmp_path / "pipe", tmp_path):
        with pytest.raises(OutputError, match="is no regular file: give another --output"):
            build_pairs(source, output, overwrite=True)
    assert (tmp_path / "pipe").is_fifo()


def test_a_link_is_written_through(tmp_path: Path) -> None:
    """The pairs land where the link points, there already or not, and the link stays."""
    source = write_rows(tmp_path / "r.jsonl", our_row(0, 0, 1.0), our_row(0, 1, 0.0))
    (tmp_path / "there").mkdir()
    link, real = tmp_path / "pairs.jsonl", tmp_path / "there" / "real.jsonl"
    link.symlink_to(real)
    for overwrite in (False, True):
        build_pairs(source, link, overwrite=overwrite)
        assert link.is_symlink()
        assert len(read_rows(real)) == 1
    assert [path.name for path in real.parent.iterdir()] == ["real.jsonl"]


def test_a_run_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """An error on the way leaves neither output nor draft, and an output that comes up meanwhile is kept."""

    class Meanwhile(BestWorst):
        def pick(self, pool: Any) -> Any:
            (tmp_path / "pairs.jsonl").write_text("mine")
            return super().pick(pool)

    source = write_rows(tmp_path / "r.jsonl", our_row(0, 0, 1.0), our_row(0, 1, 0.0))
    with pytest.raises(OutputError, match="came into being meanwhile"):
        build_pairs(source, tmp_path / "pairs.jsonl", strategy=Meanwhile())
    assert (tmp_path / "pairs.jsonl").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.jsonl", "r.jsonl"]


def test_no_pairs_make_an_empty_file(tmp_path: Path) -> None:
    """The output says that the run came to its end."""
    build_pairs(write_rows(tmp_path / "r.jsonl", our_row(0, 0)), tmp_path / "pairs.jsonl")
    assert (tmp_path / "pairs.jsonl").read_bytes() == b""


def test_an_unknown_format_is_a_usage_error() -> None:
    """The known ones are listed."""
    with pytest.raises(UsageError, match="--format nope: give one of axolotl, .*trl-standard, verl"):
        get_format("nope")
