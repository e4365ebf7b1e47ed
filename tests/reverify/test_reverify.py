"""Scoring a file again: the rows keep their bytes, the rewards are new, and every promise of a run holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest

from collector.errors import InputError, OutputError, ResumeError, ServerError, UsageError
from collector.journal import read_run_file
from collector.reverify import reverify
from collector.stopping import StopSwitch
from tests.reverify.make import again, lines_of, rescore, rest_of, rollouts
from tests.runs import Notes, rows_of
from tests.verifiers.model_server import ScoringServer


async def test_only_the_verdict_changes(tmp_path: Path) -> None:
    """New rewards, components and fields; the old reward beside them; every other byte, and the order, as before."""
    before = (await rollouts(tmp_path, 5)).paths.rollouts
    kept = before.read_bytes()
    result, notes = await rescore(before)
    old, new = lines_of(before), lines_of(result.paths.rollouts)
    assert [rest_of(line) for line in new] == [rest_of(line) for line in old]
    for was, now in zip(map(orjson.loads, old), map(orjson.loads, new), strict=True):
        text = was["output"][-1]["content"]
        assert (now["reward"], now["reward_components"], now["note"]) == (len(text), {"chars": len(text)}, text[:3])
        assert now["previous_reward"] == was["reward"]
        assert now["source_fields"] == {"reward": "mine"}
    assert before.read_bytes() == kept
    assert (result.rows, result.tasks, result.rollouts, result.failed) == (5, 10, 10, 0)
    assert result.seal is not None and result.seal.groups == 5
    assert "scoring 10 rollouts of 5 prompts" in notes.notes[0]
    run = read_run_file(result.paths.run)
    assert run is not None and run.state == "finished" and run.settings["reverify"] is True


async def test_a_verifier_sees_what_it_saw_in_the_run(tmp_path: Path) -> None:
    """The source row under its own names, the reply's text, flags, finish reason and usage."""
    before = (await rollouts(tmp_path, 1, 1)).paths.rollouts
    result, _ = await rescore(before, "python:tests.reverify.scorers:fields")
    (row,) = rows_of(result.paths.rollouts)
    given = row["given"]
    assert given["row"] == {"prompt": "question 0", "id": "row-0", "reward": "mine", "deep": {"x": 1.5}}
    assert given["reply_text"] == row["output"][-1]["content"]
    assert (given["flags"], given["finish"], given["usage"]) == ([], "stop", 3)


async def test_rollouts_without_a_reward_get_one(tmp_path: Path) -> None:
    """Collected without a verifier, scored later: there is no previous reward to keep."""
    before = (await rollouts(tmp_path, 6, 4, verifier=None)).paths.rollouts
    result, _ = await rescore(before, "numeric:field=id")
    rows = rows_of(result.paths.rollouts)
    assert len(rows) == 24
    assert all(row["reward"] in (0.0, 1.0) and "previous_reward" not in row for row in rows)


async def test_live_and_incomplete_files_are_taken_whole(tmp_path: Path) -> None:
    """A run that was killed: rows in the order of completion, a torn last line, rows of incomplete groups beside."""
    sealed = (await rollouts(tmp_path, 4)).paths.rollouts
    lines = lines_of(sealed)
    aside = lines.pop(3)
    sealed.write_bytes(b"\n".join(reversed(lines)) + b"\n" + lines[0][:50])
    beside = sealed.with_name("rollouts_incomplete.jsonl")
    beside.write_bytes(aside[:-1] + b',"_incomplete":"1 of 2 rollouts missing: 0"}\n')
    result, notes = await rescore(sealed)
    assert [rest_of(line) for line in lines_of(result.paths.rollouts)] == [
        rest_of(line) for line in sorted([*lines, aside], key=lambda line: sealed_key(line))
    ]
    assert any("left out a half-written last line (byte " in note for note in notes.notes)


def sealed_key(line: bytes) -> tuple[int, int]:
    row = orjson.loads(line)
    return row["_ng_task_index"], row["_ng_rollout_index"]


async def test_groups_that_lack_a_member_stay_incomplete(tmp_path: Path) -> None:
    """The run file says how many rollouts a prompt has: a group that lacks one is set aside again, with its reason."""
    sealed = (await rollouts(tmp_path, 3)).paths.rollouts
    lines = lines_of(sealed)
    sealed.write_bytes(b"\n".join(lines[:-1]) + b"\n")
    result, _ = await rescore(sealed)
    assert len(lines_of(result.paths.rollouts)) == 4
    assert [row["_incomplete"] for row in rows_of(result.paths.incomplete)] == ["1 of 2 rollouts missing: 1"]


async def test_what_cannot_be_scored_is_a_failure_with_its_reply(tmp_path: Path) -> None:
    """A failed scoring costs its row, never the run; the reply is kept, and --resume tries it again."""
    sealed = (await rollouts(tmp_path, 12)).paths.rollouts
    result, _ = await rescore(sealed, "python:tests.reverify.scorers:picky")
    failures = rows_of(result.paths.failures)
    assert result.failed == len(failures) > 0
    assert result.rollouts + result.failed == 24
    by_key = {sealed_key(line): orjson.loads(line)["response"] for line in lines_of(sealed)}
    for row in failures:
        assert row["response"] == by_key[row["_ng_task_index"], row["_ng_rollout_index"]]
        assert row["final"] and row["failure_class"] == "verifier"
    more, _ = await rescore(sealed, "python:tests.reverify.scorers:picky", resume=True)
    assert (more.resumed, more.failed, more.rollouts) == (result.rollouts, result.failed, result.rollouts)


async def test_a_verifier_that_fails_on_everything_is_stopped(tmp_path: Path) -> None:
    """Twenty failures and no success: the verifier is wrong, and says so before a night is spent."""
    sealed = (await rollouts(tmp_path, 40)).paths.rollouts
    with pytest.raises(ServerError, match=r"the first 20 rollouts all failed, the last with: .* ValueError: never"):
        await rescore(sealed, "python:tests.reverify.scorers:never")


async def test_replies_that_only_a_verifier_failed_on(tmp_path: Path) -> None:
    """Their tokens were paid for: the prompts are read again, and they become rollouts like the others."""
    first = await rollouts(tmp_path, 12, verifier="python:tests.reverify.scorers:picky")
    lost = {(row["_ng_task_index"], row["_ng_rollout_index"]): row for row in rows_of(first.paths.failures)}
    assert 0 < len(lost) == first.failed < 24
    result, notes = await rescore(first.paths.rollouts)
    assert any(f"{len(lost)} replies that only their verifier failed on are scored too" in note for note in notes.notes)
    rows = rows_of(result.paths.rollouts)
    assert [(row["_ng_task_index"], row["_ng_rollout_index"]) for row in rows] == [
        (i, j) for i in range(12) for j in (0, 1)
    ]
    for row in rows:
        key = row["_ng_task_index"], row["_ng_rollout_index"]
        assert row["output"][-1]["content"].startswith(f"<question {key[0]}>")
        assert row["id"] == f"row-{key[0]}"
        if key in lost:
            assert row["response"] == lost[key]["response"]
            assert "previous_reward" not in row
    assert result.rollouts == result.tasks == 24


@pytest.mark.parametrize("whole_row", [False, True])
async def test_an_agents_replies_are_read_by_its_own_contract(tmp_path: Path, whole_row: bool) -> None:
    """A failure keeps an agent's response, or its whole row where the agent's own reward was none; what holds no
    answer is passed over."""
    first = await rollouts(tmp_path, 12, verifier="python:tests.reverify.scorers:picky")
    run = orjson.loads(first.paths.run.read_bytes())
    run["settings"]["protocol"] = "agent"
    first.paths.run.write_bytes(orjson.dumps(run))
    response = {"output": [{"type": "message", "role": "assistant", "content": "an agent's words"}]}
    rows = rows_of(first.paths.failures)
    for row in rows[1:]:
        row["response"] = {"response": response, "reward": None} if whole_row else response
    rows[0]["response"] = {"status": "failed"}
    first.paths.failures.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    result, _ = await rescore(first.paths.rollouts)
    assert (result.rollouts, result.tasks) == (23, 23)
    everything = rows_of(result.paths.rollouts) + rows_of(result.paths.incomplete)
    assert sum(row["reward"] == len("an agent's words") for row in everything) == len(rows) - 1


async def test_replies_whose_prompts_are_gone_are_told(tmp_path: Path) -> None:
    """Without the run's own input nobody knows what they answer: one note says how many and why."""
    first = await rollouts(tmp_path, 12, verifier="python:tests.reverify.scorers:picky")
    (tmp_path / "in.jsonl").write_bytes(b'{"prompt": "another"}\n')
    result, notes = await rescore(first.paths.rollouts)
    assert result.rollouts == first.rollouts
    assert any("cannot be scored" in note and "in.jsonl has changed since" in note for note in notes.notes)


async def test_stop_and_resume(tmp_path: Path) -> None:
    """A stopped run keeps what it has; --resume scores the rest, and the file is that of a run in one go."""
    sealed = (await rollouts(tmp_path, 30)).paths.rollouts
    whole, _ = await rescore(sealed)

    stop = StopSwitch()

    class Stopping(Notes):
        def rollout(self, *told: Any) -> None:
            stop.throw()

    there = sealed.parent / "second" / "out.jsonl"
    part = await reverify(again(sealed, output=there), observer=Stopping(), stop=stop)
    assert part.interrupted and 0 < part.rollouts < 60
    rest, _ = await rescore(sealed, output=there, resume=True)
    assert (rest.resumed, rest.rollouts) == (part.rollouts, 60)
    assert there.read_bytes() == whole.paths.rollouts.read_bytes()
    with pytest.raises(ResumeError, match="verifier: was"):
        await rescore(sealed, "numeric:field=id", output=there, resume=True)
    sealed.write_bytes(b"\n".join(lines_of(sealed)[:-2]) + b"\n")
    with pytest.raises(ResumeError, match="input sha256"):
        await rescore(sealed, output=there, resume=True)


async def test_never_in_place(tmp_path: Path) -> None:
    """The output may be none of the files that are read, under any name."""
    sealed = (await rollouts(tmp_path, 1)).paths.rollouts
    with pytest.raises(UsageError, match="is the input file"):
        again(sealed, output=sealed)
    beside = sealed.with_name("rollouts_incomplete.jsonl")
    beside.write_bytes(b"")
    with pytest.raises(UsageError, match="belongs to the input; give another --output"):
        await rescore(sealed, output=beside)
    result, _ = await rescore(sealed)
    with pytest.raises(OutputError, match="exists already"):
        await rescore(sealed)
    assert result.rollouts == 2


async def test_a_file_scored_again_can_be_scored_again(tmp_path: Path) -> None:
    """The second time `previous_reward` is the first time's reward."""
    sealed = (await rollouts(tmp_path, 2)).paths.rollouts
    once, _ = await rescore(sealed)
    twice, _ = await rescore(once.paths.rollouts, "numeric:field=id", output=tmp_path / "t.jsonl")
    first, second = rows_of(once.paths.rollouts), rows_of(twice.paths.rollouts)
    assert [row["previous_reward"] for row in second] == [row["reward"] for row in first]


async def test_limit_counts_prompts(tmp_path: Path) -> None:
    """As in a collecting run: the first rows of the input, whole groups."""
    sealed = (await rollouts(tmp_path, 5)).paths.rollouts
    result, _ = await rescore(sealed, limit=2)
    assert [sealed_key(line) for line in lines_of(result.paths.rollouts)] == [(0, 0), (0, 1), (1, 0), (1, 1)]


async def test_slow_verifiers_are_asked_side_by_side(tmp_path: Path) -> None:
    """num_samples_in_parallel rollouts are in work at once, no more: a real judge over HTTP sees exactly as many."""
    sealed = (await rollouts(tmp_path, 10)).paths.rollouts
    with ScoringServer(hold=4).serving() as server:
        spec = f"judge:url={server.url}/v1,parallel=50"
        result, _ = await rescore(sealed, spec, num_samples_in_parallel=4)
    assert (server.high_water, result.high_water, result.rollouts) == (4, 4, 20)
    assert all(row["judge_usage"]["total_tokens"] == 120 for row in rows_of(result.paths.rollouts))


async def test_a_verifier_that_is_gone_ends_the_run(tmp_path: Path) -> None:
    """As a model's server does: what is scored is on disk, and the message says how to go on."""
    sealed = (await rollouts(tmp_path, 40)).paths.rollouts
    with ScoringServer().serving() as server:

        class Sawing(Notes):
            def rollout(self, *told: Any) -> None:
                server.hold = 10**6  # nothing more is answered in the moment that it takes to go
                server.take_down()

        settings = again(sealed, f"judge:url={server.url}/v1", num_samples_in_parallel=2)
        with pytest.raises(ServerError, match=r"the verifier is gone .* run again with --resume"):
            await reverify(settings, observer=Sawing())
    assert 0 < len(lines_of(settings.output)) < 80


async def test_bad_sources(tmp_path: Path) -> None:
    """Each with one line that names the file, the line and what is wrong."""
    path = tmp_path / "r.jsonl"
    row = {
        "_ng_task_index": 0,
        "_ng_rollout_index": 0,
        "prompt": "q",
        "output": [{"role": "assistant", "content": "a"}],
    }
    good = json.dumps(row)
    for content, message in (
        ("", "no rollouts: give a file that `pairmill collect` wrote"),
        (f"{good}\nnonsense\n{good}\n", r"r.jsonl:2: is not JSON: .* \(byte "),
        (f"{good}\n[1]\n", "r.jsonl:2: is no rollout"),
        (good.replace('index": 0', 'index": "x"', 1) + "\n", "r.jsonl:1: is no rollout"),
        (good + '\n{"prompt": "q", "output": []}\n', "r.jsonl:2: this row has no _ng_task_index"),
        ('{"prompt": "q", "output": []}\n' + good + "\n", "r.jsonl:2: this row has indices"),
        (good.replace('rollout_index": 0', 'rollout_index": 10000'), "10000 are the most"),
    ):
        path.write_text(content)
        with pytest.raises(InputError, match=message):
            await rescore(path, overwrite=True)
    path.write_text(good + "\n")
    with pytest.raises(InputError, match="r.jsonl:1: the row has no field 'gold'"):
        await rescore(path, "exact:field=gold")
    with pytest.raises(InputError, match=r"cannot be read: No such file"):
        await rescore(tmp_path / "none.jsonl")
    with pytest.raises(InputError, match="is not a regular file"):
        await rescore(tmp_path)
    with pytest.raises(UsageError, match="no --verifier to score with"):
        await reverify(again(path, ()))


async def test_one_row_stands_for_a_rollout(tmp_path: Path) -> None:
    """A rollout that stands twice is scored once, and the user is told."""
    sealed = (await rollouts(tmp_path, 2)).paths.rollouts
    sealed.write_bytes(sealed.read_bytes() * 2)
    result, notes = await rescore(sealed)
    assert (result.rollouts, result.tasks) == (4, 4)
    assert any("4 rows repeat a rollout: left out" in note for note in notes.notes)


async def test_a_judge_that_is_not_there(tmp_path: Path) -> None:
    """Said at the start, in one line."""
    path = tmp_path / "r.jsonl"
    path.write_text('{"prompt": "q", "output": [{"role": "assistant", "content": "a"}]}\n')
    with pytest.raises(ServerError, match="--verifier judge: .*cannot connect"):
        await reverify(again(path, "judge:url=http://127.0.0.1:9/v1"))
