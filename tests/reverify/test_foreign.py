"""Files that other programs wrote: NeMo Gym's own rollouts, rows without indices, Python's NaN."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from collector.errors import InputError, ServerError
from collector.reverify.splice import members_of
from tests.reverify.make import rescore
from tests.runs import rows_of

GYM = Path(__file__).parents[2].parent / "shared" / "nemo_gym_rollouts"
FIELDS = "python:tests.reverify.scorers:fields"
ADDED = frozenset(
    {"reward", "reward_components", "note", "previous_reward", "previous_fields", "_ng_task_index", "_ng_rollout_index"}
)
needs_gym = pytest.mark.skipif(not GYM.is_dir(), reason="the folder of NeMo Gym's rollouts is not there")


def gym_row(prompt: str, text: str, **more: Any) -> dict[str, Any]:
    message = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}
    return {
        "responses_create_params": {"input": [{"role": "user", "content": prompt}], "tools": None, "temperature": 0.5},
        "response": {"id": "r", "status": "completed", "output": [[message]], "usage": {"output_tokens": 7}},
        "reward": 0.0,
        **more,
    }


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


async def test_rows_of_nemo_gym(tmp_path: Path) -> None:
    """Unsorted, in groups of different sizes: sealed in order, answers read from the response, spaces kept."""
    rows = [
        gym_row("b", "bb", _ng_task_index=1, _ng_rollout_index=0, uuid="u1"),
        gym_row("a", "aaa", _ng_task_index=0, _ng_rollout_index=1, uuid="u0"),
        gym_row("a", "a", _ng_task_index=0, _ng_rollout_index=0, uuid="u0"),
    ]
    result, _ = await rescore(write(tmp_path / "r.jsonl", rows), FIELDS)
    found = rows_of(result.paths.rollouts)
    assert [row["given"]["reply_text"] for row in found] == ["a", "aaa", "bb"]
    assert found[0]["given"] == {
        "reply_text": "a",
        "flags": [],
        "finish": "stop",
        "usage": 7,
        "row": {
            "responses_create_params": rows[0]["responses_create_params"]
            | {"input": [{"role": "user", "content": "a"}]},
            "uuid": "u0",
        },
    }
    assert b'"previous_reward":0.0' in result.paths.rollouts.read_bytes()
    assert b'"uuid": "u0"' in result.paths.rollouts.read_bytes()


async def test_rows_without_indices_are_numbered(tmp_path: Path) -> None:
    """By their prompts, in the order in which they come; the numbers are written into the rows."""
    rows = [gym_row(prompt, text) for prompt, text in (("a", "1"), ("b", "2"), ("a", "3"), ("a", "4"), ("b", "5"))]
    result, _ = await rescore(write(tmp_path / "r.jsonl", rows))
    found = rows_of(result.paths.rollouts)
    keys = [(row["_ng_task_index"], row["_ng_rollout_index"], row["note"]) for row in found]
    assert keys == [(0, 0, "1"), (0, 1, "3"), (0, 2, "4"), (1, 0, "2"), (1, 1, "5")]


async def test_a_judge_that_failed_is_mended(tmp_path: Path) -> None:
    """NeMo Gym marks such a row, with a reward of 0: the new verdict takes the mark away, and keeps it on record."""
    row = gym_row("a", "b", _ng_task_index=0, _ng_rollout_index=0, _ng_failure_class="judge_failed", mask_sample=True)
    result, _ = await rescore(write(tmp_path / "r.jsonl", [row]))
    (found,) = rows_of(result.paths.rollouts)
    assert "_ng_failure_class" not in found and "mask_sample" not in found
    assert found["previous_fields"] == {"_ng_failure_class": "judge_failed", "mask_sample": True}


async def test_pythons_nan_is_mended(tmp_path: Path) -> None:
    """json.dumps writes NaN, which is no JSON: such a row is written anew, with null in its place."""
    row = gym_row("a", "b", _ng_task_index=0, _ng_rollout_index=0, score=float("nan"))
    row["reward"] = float("nan")
    result, _ = await rescore(write(tmp_path / "r.jsonl", [row]))
    (found,) = rows_of(result.paths.rollouts)
    assert (found["reward"], found["score"]) == (1.0, None)
    assert "previous_reward" not in found


@pytest.mark.parametrize("depth", [2_000, 200_000])
async def test_a_nest_too_deep_is_said_with_its_line(tmp_path: Path, depth: int) -> None:
    """What no reader can follow is refused as any other line that is no JSON, wherever it stands."""
    path = tmp_path / "r.jsonl"
    for end in ("\n", ""):
        path.write_text('{"x": ' + "[" * depth + "]" * depth + "}" + end, encoding="utf-8")
        with pytest.raises(InputError, match=r"r\.jsonl(:1: is not JSON: |: no rollouts)"):
            await rescore(path)


async def test_rows_without_an_answer(tmp_path: Path) -> None:
    """An input, a failed response: failures of a class of their own; the others are scored."""
    bare = gym_row("a", "b", _ng_task_index=0, _ng_rollout_index=0)
    del bare["response"]
    failed = gym_row("a", "b", _ng_task_index=0, _ng_rollout_index=1)
    failed["response"]["status"] = "failed"
    good = gym_row("c", "d", _ng_task_index=1, _ng_rollout_index=0)
    result, _ = await rescore(write(tmp_path / "r.jsonl", [bare, failed, good]))
    assert (result.rollouts, dict(result.failures)) == (1, {"no_answer": 2})


@needs_gym
@pytest.mark.parametrize("path", sorted(GYM.glob("*.jsonl")), ids=lambda path: path.name.split("__")[0])
async def test_real_files_of_nemo_gym(tmp_path: Path, path: Path) -> None:
    """Every file that it ships: scored, with each member that is not the verdict's as it was; or refused with the
    line; and rows that hold no answer are failures, never zeros."""
    lines = split(path)
    output = tmp_path / "again.jsonl"
    try:
        result, _ = await rescore(path, output=output)
    except InputError as error:
        assert str(error).startswith(f"{path}:")
        assert not output.exists()
        return
    except ServerError as error:
        assert "no answer" in str(error)
        return
    assert result.rollouts + result.failed == len(lines)
    before = {json.dumps(rest(line)) for line in lines}
    after = [
        rest(line) for side in (result.paths.rollouts, result.paths.incomplete) if side.exists() for line in split(side)
    ]
    assert len(after) == result.rollouts
    assert all(json.dumps(row) in before for row in after)


def split(path: Path) -> list[bytes]:
    return [line for line in path.read_bytes().split(b"\n") if line.strip()]


def rest(line: bytes) -> list[tuple[str, str]]:
    line = line if is_json(line) else orjson.dumps(json.loads(line))
    return [(m.name, m.value.decode()) for m in members_of(line) if m.name not in ADDED and m.name != "_incomplete"]


def is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True
