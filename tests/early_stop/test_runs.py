"""Whole runs with early stop: what is asked, what is written, and what a run that goes on takes and refuses."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import orjson
import pytest

from collector.collecting import collect
from collector.early_stop import rule_of
from collector.early_stop.rule import Standing
from collector.errors import ResumeError, StreamError
from collector.nemo_gym import find_agents
from collector.observer import SilentObserver
from collector.records.rows import PromptRow, Reply, Task, Verdict
from collector.result import CollectResult
from collector.settings import CollectSettings
from collector.stopping import StopSwitch
from tests.model_server import ModelServer
from tests.nemo_gym_servers import nemo_gym
from tests.runs import Notes, prompts, rows_of, settings, until

GAP = 0.6
RARE = "python:tests.early_stop.test_runs:rarely_right"


def stopping(tmp_path: Path, server: ModelServer, **changes: Any) -> CollectSettings:
    return settings(tmp_path, server, **{"num_repeats": 8, "until_gap": GAP, **changes})


def decisions(result: CollectResult) -> list[dict[str, Any]]:
    return rows_of(result.paths.decisions)


def assert_sealed(result: CollectResult) -> list[dict[str, Any]]:
    """Whole groups in aabbcc order, each of the size that its decision says, which is the rule's on its own rewards."""
    rows = rows_of(result.paths.rollouts)
    keys = [(row["_ng_task_index"], row["_ng_rollout_index"]) for row in rows]
    decided = decisions(result)
    assert [each["_ng_task_index"] for each in decided] == list(range(result.rows))
    incomplete = {each["_ng_task_index"] for each in decided if each["failed"]}
    assert keys == [
        (task, repeat)
        for task, each in enumerate(decided)
        if task not in incomplete
        for repeat in range(each["rollouts"])
    ]
    rule = rule_of(result.settings)
    assert rule is not None
    for task, each in enumerate(decided):
        mine = [row for row in rows if row["_ng_task_index"] == task]
        if task not in incomplete:
            assert reason(rule, mine) == each["stopped"]
            shorter = [size for size in range(rule.first, len(mine)) if rule.reached(size) == size]
            assert all(reason(rule, mine[:size]) is None for size in shorter)
    return rows


def reason(rule: Any, rows: list[dict[str, Any]]) -> str | None:
    standing = Standing()
    for row in rows:
        standing.note(row["reward"], row.get("flags", ()))
    stop: str | None = rule.stop(len(rows), standing)
    return stop


class Watcher(SilentObserver):
    """Keeps the sums that a progress bar would."""

    def __init__(self) -> None:
        self.bound = self.made = self.failures = 0

    def started(self, done: int, tasks: int) -> None:
        self.made, self.bound = done, tasks

    def rollout(self, task: Task, reply: Reply, verdict: Verdict | None) -> None:
        self.made += 1

    def failed(self, task: Task, error: Exception) -> None:
        self.failures += 1

    def fewer(self, row: PromptRow, tasks: int) -> None:
        self.bound -= tasks


@pytest.mark.parametrize("slots", [1, 3, 64])
@pytest.mark.parametrize("changes", [{}, {"futile_after": 3, "verifier": RARE}, {"temperatures": (0.5, 1.0)}])
async def test_each_prompt_has_what_it_needs(tmp_path: Path, slots: int, changes: dict[str, Any]) -> None:
    """However many slots there are, and with random latency; the bar's bound comes down to what was made."""
    prompts(tmp_path / "in.jsonl", 30)
    watcher = Watcher()
    server = ModelServer(latency=(0.0, 0.005))
    with server.serving():
        result = await collect(stopping(tmp_path, server, num_samples_in_parallel=slots, **changes), observer=watcher)
    rows = assert_sealed(result)
    assert (server.requests, result.rollouts, result.tasks) == (len(rows),) * 3
    assert server.high_water <= result.high_water == min(slots, 60)
    assert result.stops["usable"] > 5
    assert bool(result.stops["futile"]) is ("futile_after" in changes)
    assert watcher.made == watcher.bound == len(rows) < 240
    run = orjson.loads(result.paths.run.read_bytes())
    assert run["settings"]["num_repeats"] == 8
    assert run["counts"]["stopped"] == result.stops
    assert sum(result.stops.values()) == 30
    assert run["counts"]["usable_after"] == dict(
        sorted(Counter(str(each["rollouts"]) for each in decisions(result) if each["stopped"] == "usable").items())
    )


async def test_the_same_rollouts_as_those_of_a_fixed_run(tmp_path: Path) -> None:
    """Seeds go by prompt and repeat: early stop leaves rollouts out, and changes none. With several samples in one
    request, and a ladder, too."""
    prompts(tmp_path / "in.jsonl", 12)
    server = ModelServer(most_samples=8)
    with server.serving():
        for changes in ({}, {"samples_per_request": 3}, {"samples_per_request": 2, "temperatures": (0.5, 1.0)}):
            base = stopping(tmp_path, server, overwrite=True, **changes)
            stopped = texts(await collect(base))
            fixed = texts(await collect(replace(base, until_gap=None, output=tmp_path / "fixed" / "rollouts.jsonl")))
            assert stopped.items() < fixed.items()


def texts(result: CollectResult) -> dict[tuple[int, int], tuple[str, int, Any]]:
    return {
        (row["_ng_task_index"], row["_ng_rollout_index"]): (
            row["output"][-1]["content"],
            row["seed"],
            row["responses_create_params"].get("temperature"),
        )
        for row in rows_of(result.paths.rollouts)
    }


async def test_several_samples_of_one_request_are_one_round(tmp_path: Path) -> None:
    """Groups come in whole requests, the last one up to the cap."""
    prompts(tmp_path / "in.jsonl", 20)
    server = ModelServer(most_samples=8)
    with server.serving():
        result = await collect(stopping(tmp_path, server, samples_per_request=3, until_gap=0.9, num_repeats=7))
    assert_sealed(result)
    assert {each["rollouts"] for each in decisions(result)} <= {3, 6, 7}
    assert {body.get("n", 1) for body in server.bodies} <= {1, 3}
    assert server.requests == sum(-(-each["rollouts"] // 3) for each in decisions(result))


async def test_a_server_that_ignores_n_changes_no_decision(tmp_path: Path) -> None:
    """The samples that did not come are asked for one by one; rounds stay rounds."""
    prompts(tmp_path / "in.jsonl", 10)
    server = ModelServer(most_samples=1)
    with server.serving():
        result = await collect(stopping(tmp_path, server, samples_per_request=4))
    assert_sealed(result)
    assert {each["rollouts"] for each in decisions(result)} <= {4, 8}


def rarely_right(row: dict[str, Any], text: str) -> float:
    """A verifier that most answers fail at."""
    return float(int(text.rsplit(" ", 1)[1]) > 7)


async def slow_score(row: dict[str, Any], text: str) -> float:
    """A verifier that waits."""
    await anyio.sleep(0.01)
    return int(text.rsplit(" ", 1)[1]) / 10


async def test_slots_are_full_while_verdicts_are_awaited(tmp_path: Path) -> None:
    """With a verifier ten times as slow as the model other prompts begin: the slots are full all the same, and nobody
    leaves before the last verdict."""
    prompts(tmp_path / "in.jsonl", 40)
    server = ModelServer(hold=8)
    with server.serving():
        result = await collect(
            stopping(
                tmp_path, server, verifier="python:tests.early_stop.test_runs:slow_score", num_samples_in_parallel=8
            )
        )
    assert_sealed(result)
    assert server.high_water == 8


async def test_retries_and_several_servers(tmp_path: Path) -> None:
    """Faults on the way change no decision; the rounds of a prompt go to the server that has its prefix."""
    prompts(tmp_path / "in.jsonl", 30)
    first, second = ModelServer(latency=(0.0, 0.004)), ModelServer(latency=(0.0, 0.004))
    with first.serving(), second.serving():
        calm = await collect(
            stopping(tmp_path, first, replica_urls=(second.url,), model="test-model", parallel_per_endpoint=32)
        )
        assert not {*first.prompts} & {*second.prompts}
        first.fault_every = second.fault_every = 4
        first.fault_kinds = second.fault_kinds = ("500", "torn")
        shaken = await collect(
            replace(calm.settings, output=tmp_path / "shaken" / "rollouts.jsonl", num_samples_in_parallel=8)
        )
    assert shaken.retries
    assert_sealed(shaken)
    assert decisions(shaken) == decisions(calm)


async def test_an_agents_own_rewards_stop_its_prompts(tmp_path: Path) -> None:
    """No verifier is needed: what the agent brings is judged."""
    source = tmp_path / "in.jsonl"
    row = {"responses_create_params": {"input": "question"}, "agent_ref": {"name": "my_agent"}}
    source.write_bytes(b"".join(orjson.dumps({**row, "number": number}) + b"\n" for number in range(20)))
    with nemo_gym("my_agent") as head:
        (agent,) = find_agents(head, source, {"my_agent": 1}).values()
        result = await collect(
            CollectSettings(
                input=source,
                output=tmp_path / "rollouts.jsonl",
                base_url=agent,
                protocol="agent",
                agent_name="my_agent",
                num_repeats=5,
                until_gap=0.5,
            )
        )
    assert_sealed(result)
    assert result.stops["usable"]
    assert result.tasks < 100


async def test_what_fails_for_good(tmp_path: Path) -> None:
    """A prompt of which nothing comes is given up after its first round; --resume tries it again."""
    prompts(tmp_path / "in.jsonl", 8)
    server = ModelServer(always_fail="question 3")
    with server.serving():
        first = await collect(stopping(tmp_path, server))
        assert_sealed(first)
        assert decisions(first)[3] == {
            "_ng_task_index": 3, "rollouts": 2, "of": 8, "stopped": "failed", "failed": 2, "best": None, "worst": None,
        }  # fmt: skip
        assert (first.failed, first.stops["failed"], first.tasks) == (2, 1, first.rollouts + 2)
        server.always_fail = ""
        asked = server.requests
        second = await collect(stopping(tmp_path, server, resume=True))
    assert_sealed(second)
    assert second.stops["failed"] == second.failed == 0
    assert server.requests - asked == decisions(second)[3]["rollouts"]


def score_but(row: dict[str, Any], text: str) -> float:
    """A verifier that fails on the answers 0 to 3."""
    number = int(text.rsplit(" ", 1)[1])
    if number < 4:
        raise ValueError("not this one")
    return number / 10


async def test_samples_that_fail_leave_holes(tmp_path: Path) -> None:
    """A failed sample counts as one of the most, and has no reward. Its group is whole without it for stopping, not for
    the sealed file: its rows stand in the side file until --resume fills the hole."""
    prompts(tmp_path / "in.jsonl", 20)
    server = ModelServer()
    with server.serving():
        mean = stopping(tmp_path, server, verifier="python:tests.early_stop.test_runs:score_but", until_gap=0.4)
        first = await collect(mean)
        assert_sealed(first)
        holes = [each for each in decisions(first) if each["failed"]]
        assert holes
        incomplete = rows_of(first.paths.incomplete)
        assert Counter(row["_ng_task_index"] for row in incomplete) == {
            each["_ng_task_index"]: each["rollouts"] - each["failed"]
            for each in holes
            if each["rollouts"] > each["failed"]
        }
        again = await collect(replace(mean, resume=True))
        assert decisions(again) == decisions(first)
        assert rows_of(again.paths.rollouts) == rows_of(first.paths.rollouts)


async def test_an_interrupt_and_a_resume(tmp_path: Path) -> None:
    """A run that is drained midway, again and again, ends with the decisions of one that nobody disturbed."""
    prompts(tmp_path / "in.jsonl", 40)
    server = ModelServer(latency=(0.0, 0.01))
    with server.serving():
        calm = await collect(stopping(tmp_path, server, output=tmp_path / "calm" / "rollouts.jsonl"))
        base = stopping(tmp_path, server, num_samples_in_parallel=4)
        for number in range(1, 4):
            stop = StopSwitch()
            begun = server.requests

            async def throw(begun: int = begun, stop: StopSwitch = stop) -> None:
                await until(lambda: server.requests >= begun + 20)
                stop.throw()

            async with anyio.create_task_group() as group:
                group.start_soon(throw)
                result = await collect(replace(base, resume=number > 1), stop=stop)
            assert result.interrupted
            assert not result.paths.decisions.exists()
        last = await collect(replace(base, resume=True))
    assert last.resumed >= 60
    assert decisions(last) == decisions(calm)
    assert texts(last) == texts(calm)


async def test_a_finished_run_asks_for_nothing(tmp_path: Path) -> None:
    """Nor does it change a byte, but for the time in the run file."""
    prompts(tmp_path / "in.jsonl", 10)
    server = ModelServer()
    with server.serving():
        first = await collect(stopping(tmp_path, server))
        before = [path.read_bytes() for path in (first.paths.rollouts, first.paths.decisions)]
        asked, watcher = server.requests, Watcher()
        again = await collect(stopping(tmp_path, server, resume=True), observer=watcher)
    assert (server.requests, again.rollouts, again.tasks) == (asked, first.rollouts, first.tasks)
    assert watcher.made == watcher.bound == first.rollouts
    assert [path.read_bytes() for path in (again.paths.rollouts, again.paths.decisions)] == before
    assert again.stops == first.stops


async def test_what_a_resume_takes_and_refuses(tmp_path: Path) -> None:
    """Another gap, or fewer repeats, is another run. More repeats go on with the prompts at the cap; a larger --limit
    adds prompts."""
    prompts(tmp_path / "in.jsonl", 20)
    server = ModelServer()
    with server.serving():
        small = await collect(stopping(tmp_path, server, num_repeats=3, until_gap=0.9, limit=12))
        assert small.stops["cap"]
        for changes, problem in (
            ({"until_gap": 0.5}, "until_gap: was 0.9, now 0.5"),
            ({"num_repeats": 2}, "num_repeats: was 3, now 2"),
            ({"min_chosen": 0.5}, "min_chosen: was not set, now 0.5"),
            ({"futile_after": 2}, "futile_after: was not set, now 2"),
            ({"until_gap": None}, "until_gap: was 0.9, now not set"),
        ):
            with pytest.raises(ResumeError, match=problem):
                await collect(replace(small.settings, resume=True, **changes))
        asked = server.requests
        large = await collect(replace(small.settings, resume=True, num_repeats=8, limit=None))
        rows = assert_sealed(large)
        assert server.requests == len(rows) == asked + len(rows) - small.rollouts
        whole = await collect(replace(large.settings, resume=False, output=tmp_path / "whole" / "rollouts.jsonl"))
    assert decisions(large) == decisions(whole)


async def test_a_plain_run_over_an_old_one_takes_its_decisions_away(tmp_path: Path) -> None:
    """They would be read as those of the new run."""
    prompts(tmp_path / "in.jsonl", 3)
    server = ModelServer()
    with server.serving():
        first = await collect(stopping(tmp_path, server))
        assert first.paths.decisions.exists()
        await collect(stopping(tmp_path, server, until_gap=None, num_repeats=2, overwrite=True))
    assert not first.paths.decisions.exists()


async def test_a_row_without_a_reward_is_damage(tmp_path: Path) -> None:
    """Nothing is decided on it."""
    prompts(tmp_path / "in.jsonl", 3)
    server = ModelServer()
    with server.serving():
        first = await collect(stopping(tmp_path, server))
        first.paths.rollouts.write_bytes(first.paths.rollouts.read_bytes().replace(b'"reward":', b'"reword":', 1))
        with pytest.raises(StreamError, match=r"rollouts.jsonl:1: .*reward.*--overwrite"):
            await collect(stopping(tmp_path, server, resume=True))


async def test_identical_answers_are_found_though_prompts_are_interleaved(tmp_path: Path) -> None:
    """Every repeat but the first bears the flag, and the note is said once."""
    prompts(tmp_path / "in.jsonl", 60)
    notes = Notes()
    server = ModelServer(one_answer=True, latency=(0.0, 0.003))
    with server.serving():
        result = await collect(stopping(tmp_path, server, num_repeats=4), observer=notes)
    assert result.flags["identical"] == 180
    assert sum("identical" in note for note in notes.notes) == 1
    assert result.stops == {"usable": 0, "futile": 0, "cap": 60, "failed": 0}
