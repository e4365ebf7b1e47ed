"""Each guard keeps out what it names, under its own reason, and the funnel says so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from collector.errors import UsageError
from pairing import BestWorst, Guards, PairReport, build_pairs
from pairing.reports.funnel import REASONS
from tests.pairing.make import ABSENT, Row, gym_row, lines_of, our_row, read_rows, write_lines, write_rows
from tests.pairing.test_identity import assert_adds_up


def pair(tmp_path: Path, *rows: Row, **options: Any) -> PairReport:
    report = build_pairs(write_rows(tmp_path / "r.jsonl", *rows), tmp_path / "pairs.jsonl", overwrite=True, **options)
    assert_adds_up(report)
    counted: list[Mapping[str, int]] = [report.line_drops, report.sample_drops, report.group_drops, report.pair_drops]
    assert {reason for drops in counted for reason in drops} <= REASONS.keys()
    return report


@pytest.mark.parametrize(
    ("reward", "reason"),
    [
        (ABSENT, "no_reward"),
        (None, "no_reward"),
        (True, "reward_bool"),
        ("0.9", "reward_string"),
        ("NaN", "reward_not_finite"),
        (float("nan"), "reward_not_finite"),
        (float("-inf"), "reward_not_finite"),
        ([1.0], "reward_not_number"),
    ],
)
def test_a_reward_is_a_finite_number(tmp_path: Path, reward: Any, reason: str) -> None:
    """Anything else makes the rollout unusable, and is counted for what it is; Python's bare NaN is read, too."""
    report = pair(tmp_path, our_row(0, 0, 1.0), our_row(0, 1, reward), our_row(0, 2, 0))
    assert (dict(report.sample_drops), report.usable, report.pairs) == ({reason: 1}, 2, 1)


def test_a_number_too_great_is_infinite(tmp_path: Path) -> None:
    """1e999 is JSON, and no finite float."""
    lines = ['{"prompt":"q","output":"a","reward":1e999}', '{"prompt":"q","output":"b","reward":1}']
    report = build_pairs(write_lines(tmp_path / "r.jsonl", lines), tmp_path / "pairs.jsonl")
    assert dict(report.sample_drops) == {"reward_not_finite": 1}


@pytest.mark.parametrize("format", ["axolotl", "openai", "recipe", "trl"])
@pytest.mark.parametrize("guards", [Guards(), Guards.none()], ids=["guards", "none"])
@pytest.mark.parametrize("depth", [300, 700, 950, 970, 980, 990, 1000, 1010, 5000])
def test_nesting_without_end_ends_nothing(tmp_path: Path, depth: int, guards: Guards, format: str) -> None:
    """However deep a prompt, a tool or an answer nests: a pair or a counted reason, and the rest is paired."""
    nest = "[" * depth + "]" * depth
    lines = []
    for task, part in enumerate(("input", "tools", "items", "late", "call", "gym")):
        for n in (0, 1):
            row = our_row(task, n, float(n), prompt_id="ab" * 8)
            params = row["responses_create_params"]
            if part == "input":
                params["input"].append("NEST")
            elif part == "tools":
                params["tools"] = ["NEST"]
            elif part == "items":
                row["output"].insert(0, "NEST")
            elif part == "late":
                row["output"].append({"type": "x", "v": ["NEST", n]})
            elif part == "call":
                row["output"] = [{"type": "function_call", "name": f"f{n}", "arguments": "NEST"}]
            else:
                row = gym_row(task, n, float(n), response={"output": [{"type": "x", "v": ["NEST", n]}]})
            lines.append(json.dumps(row).replace('"NEST"', nest))
    lines += lines_of([our_row(9, 0, 1.0), our_row(9, 1, 0.0)])
    source = write_lines(tmp_path / "r.jsonl", lines)
    report = build_pairs(source, tmp_path / "pairs.jsonl", guards=guards, format=format)
    assert_adds_up(report)
    assert report.pairs >= 1


@pytest.mark.parametrize("format", ["openai", "recipe", "trl", "trl-implicit"])
def test_numbers_of_any_size_end_nothing(tmp_path: Path, format: str) -> None:
    """JSON sets no bound to numbers: beyond 64 bits they are kept, beyond floats and 4,300 digits counted."""
    sizes = ["18446744073709551616", "1e309", "9" * 5000]
    lines = []
    for task, size in enumerate(sizes):
        for n in (0, 1):
            tooled = our_row(task, n, float(n), finish_reason=None if n else 5)
            tooled["responses_create_params"]["tools"] = [{"type": "function", "name": "f", "maximum": "SIZE"}]
            calls = [{"type": "function", "function": {"name": "f", "arguments": {"a": "SIZE", "n": n}}}]
            called = our_row(
                task + 10, n, float(n), output=[{"role": "assistant", "content": None, "tool_calls": calls}]
            )
            item = gym_row(task + 20, n, float(n))
            item["response"]["output"].append({"type": "x", "v": "SIZE", "n": n})
            scored = our_row(task + 30, n, "SIZE", "cut \ud83d")
            lines += [line.replace('"SIZE"', size) for line in lines_of([tooled, called, item, scored])]
    report = build_pairs(write_lines(tmp_path / "r.jsonl", lines), tmp_path / "pairs.jsonl", format=format)
    assert_adds_up(report)
    assert report.sample_drops["reward_not_finite"] >= 2
    assert report.pairs >= (3 if format == "recipe" else 2)
    assert "18446744073709551616" in (tmp_path / "pairs.jsonl").read_text()


def test_a_gap_beyond_floats_is_no_pair(tmp_path: Path) -> None:
    """Two finite rewards whose difference is infinite: JSON has no number for it."""
    report = pair(tmp_path, our_row(0, 0, 1.7e308), our_row(0, 1, -1.7e308), our_row(1, 0, 1.0), our_row(1, 1, 0.0))
    assert dict(report.group_drops) == {"gap_not_finite": 1}
    assert b"null" not in (tmp_path / "pairs.jsonl").read_bytes()


def test_one_id_for_two_prompts_gives_no_pair(tmp_path: Path) -> None:
    """Another writer's prompt_id may look like ours and mean something else: the prompts themselves have the last
    word, guards or not. The same prompt in another form is the same."""
    shared = {"prompt_id": "0123456789abcdef"}
    rows = [our_row(0, 0, 1.0, prompt_text="one", **shared), our_row(0, 1, 0.0, prompt_text="two", **shared)]
    for guards in (Guards(), Guards.none()):
        assert dict(pair(tmp_path, *rows, guards=guards).group_drops) == {"prompts_differ": 1}
    as_text = our_row(0, 1, 0.0, responses_create_params={"input": "one"}, **shared)
    assert pair(tmp_path, rows[0], as_text).pairs == 1


@pytest.mark.parametrize(
    "mark",
    [
        {"_ng_failure_class": "judge_failed"},
        {"response": {"status": "failed", "output": []}},
        {"response": {"error": {"code": "x"}, "output": []}},
    ],
)
def test_a_failure_is_no_verdict(tmp_path: Path, mark: Row) -> None:
    """A row marked as failed is left out, though it has a reward of 0.0."""
    report = pair(tmp_path, our_row(0, 0, 1.0), our_row(0, 1, 0.0, **mark))
    assert (dict(report.sample_drops), dict(report.group_drops)) == ({"failed": 1}, {"too_few_usable": 1})


def test_lines_that_are_no_rollouts_are_counted(tmp_path: Path) -> None:
    """Rows without answer, without prompt and of the failures file, each under its reason."""
    rows: list[Row] = [{"responses_create_params": {"input": "q"}}, {"output": "a"}, {"_ng_failure_class": "timeout"}]
    report = pair(tmp_path, *rows, gym_row(0, 0) | {"responses_create_params": {"input": []}})
    assert dict(report.line_drops) == {"no_answer": 1, "no_prompt": 2, "failed": 1}
    assert report.groups == 0


def test_broken_lines_are_named_and_do_not_stop_the_run(tmp_path: Path) -> None:
    """Torn, wrong and undecodable lines are counted; the first five are shown with file and line."""
    good = [our_row(0, n, float(n)) for n in (0, 1)]
    source = write_rows(tmp_path / "r.jsonl", *good)
    torn = b'\n{"a":\n[1]\n"text"\n3\n{"text":"\xff"}\n' + b"[" * 100_000 + b"\nnull\n" + b'{"output":"'
    source.write_bytes(torn + source.read_bytes()[:-1] + b"\n\r\n" + b'{"torn": "li')
    report = build_pairs(source, tmp_path / "pairs.jsonl")
    assert_adds_up(report)
    assert (report.pairs, report.broken) == (0, 9)
    assert report.broken_shown[0].startswith(f"{source}:2: not JSON: ")
    assert report.broken_shown[1:5] == (
        f"{source}:3: a JSON list, not an object",
        f"{source}:4: a JSON string, not an object",
        f"{source}:5: a JSON number, not an object",
        f"{source}:6: not UTF-8: byte 9",
    )


@pytest.mark.parametrize("text", ["", " \n\t", "\u3000\u00a0"])
def test_an_empty_answer_stands_on_no_side(tmp_path: Path, text: str) -> None:
    """White space says nothing, whichever alphabet it is from."""
    report = pair(tmp_path, our_row(0, 0, 1.0, text), our_row(0, 1, 0.5), our_row(0, 2, 0.0, text), our_row(0, 3, 0.1))
    assert (dict(report.sample_drops), report.pairs, report.gaps.mean) == ({"empty_text": 2}, 1, 0.4)


def test_a_tool_call_is_an_answer_and_reasoning_alone_is_none(tmp_path: Path) -> None:
    """A call without text is kept; an answer that ended inside its reasoning is empty."""
    call = {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    rows = [
        our_row(0, 0, 1.0, output=[{"role": "assistant", "content": None, "tool_calls": [call]}]),
        our_row(0, 1, 0.0, output=[{"role": "assistant", "content": "", "reasoning_content": "hm"}]),
        our_row(0, 2, 0.0),
    ]
    report = pair(tmp_path, *rows)
    assert (dict(report.sample_drops), report.pairs) == ({"empty_text": 1}, 1)


@pytest.mark.parametrize(
    ("make", "cut"),
    [
        (our_row, {"finish_reason": "length"}),
        (gym_row, {"status": "incomplete"}),
        (gym_row, {"incomplete_details": {"reason": "max_output_tokens"}}),
    ],
)
def test_a_truncated_answer_is_never_chosen(tmp_path: Path, make: Any, cut: Row) -> None:
    """The best answer that ended by itself is chosen instead; truncated ones may be rejected."""
    rows = [make(0, 0, 1.0, "best"), make(0, 1, 0.6, "good"), make(0, 2, 0.0, "bad")]
    for row in (rows[0], rows[2]):
        (row if make is our_row else row["response"]).update(cut)
    report = pair(tmp_path, *rows)
    (record,) = read_rows(tmp_path / "pairs.jsonl")
    assert (record["meta"]["chosen_rollout_index"], record["meta"]["rejected_rollout_index"]) == (1, 2)
    assert report.truncated == 2
    assert dict(pair(tmp_path, *(rows[0], rows[2])).group_drops) == {"no_chosen": 1}
    pair(tmp_path, *rows, guards=Guards(truncated_chosen=False))
    assert read_rows(tmp_path / "pairs.jsonl")[0]["meta"]["chosen_rollout_index"] == 0


def test_sides_that_say_the_same_are_no_pair(tmp_path: Path) -> None:
    """Ids and white space at the ends make no difference between two answers; another call does."""

    def calls(argument: str, call_id: str) -> list[Row]:
        return [{"type": "function_call", "call_id": call_id, "name": "f", "arguments": argument}]

    def with_output(rollout: int, items: list[Row]) -> Row:
        return gym_row(0, rollout, float(rollout), response={"output": items})

    same = [with_output(0, calls("{}", "a")), with_output(1, calls("{}", "b"))]
    assert dict(pair(tmp_path, *same).pair_drops) == {"identical_text": 1}
    assert pair(tmp_path, with_output(0, calls("{}", "a")), with_output(1, calls('{"x":1}', "b"))).pairs == 1
    assert dict(pair(tmp_path, gym_row(0, 0, 0, "a"), gym_row(0, 1, 1, "a\n")).group_drops) == {"identical_text": 1}


def test_groups_need_two_rollouts_and_different_rewards(tmp_path: Path) -> None:
    """Lone rollouts, ties and gaps under the minimum, each under its reason; a tie is no pair even at --min-gap 0."""
    rows = [
        *(our_row(0, 0, 1.0), our_row(1, 0, 0.5), our_row(1, 1, 0.5)),
        *(our_row(2, 0, 0.35), our_row(2, 1, 0.2), our_row(3, 0, 0.3), our_row(3, 1, 0.15)),
    ]
    report = pair(tmp_path, *rows)
    assert dict(report.group_drops) == {"too_few_rollouts": 1, "all_equal": 1, "gap_below_min": 1}
    assert report.pairs == 1
    assert pair(tmp_path, *rows, strategy=BestWorst(min_gap=0)).pairs == 2


def test_whole_groups_only_when_asked(tmp_path: Path) -> None:
    """An incomplete group may pair, unless a number of members is required."""
    rows = [our_row(0, 0, 1.0), our_row(0, 3, 0.0)]
    assert pair(tmp_path, *rows).pairs == 1
    assert dict(pair(tmp_path, *rows, guards=Guards(require_members=4)).group_drops) == {"incomplete": 1}


def test_ties_are_broken_by_rollout_index(tmp_path: Path) -> None:
    """The first of the best against the last of the worst, as the recipe's stable sort has them."""
    pair(tmp_path, *(our_row(0, n, reward) for n, reward in enumerate([0.0, 1.0, 0.0, 1.0, 0.0])))
    meta = read_rows(tmp_path / "pairs.jsonl")[0]["meta"]
    assert (meta["chosen_rollout_index"], meta["rejected_rollout_index"]) == (1, 4)


def test_wrong_parameters_are_usage_errors() -> None:
    """A policy checks its own numbers."""
    with pytest.raises(UsageError, match="--min-gap nan"):
        BestWorst(min_gap=float("nan"))
    with pytest.raises(UsageError, match="--require-complete 1: give 2 or more"):
        Guards(require_members=1)
