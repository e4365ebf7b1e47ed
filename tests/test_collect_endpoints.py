"""Several servers of one model: prompts keep to one each, move when it goes, and come back when it does."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.responses import Response

from collector.collecting import collect
from collector.errors import ServerError
from collector.rendezvous import preference
from collector.settings import RetryPolicy, Timeouts
from tests.model_server import ModelServer
from tests.runs import Notes, assert_sealed, prompts, rows_of, server_process, settings, until


def homes(rows: list[dict[str, Any]]) -> dict[int, set[str]]:
    """Which endpoints answered each prompt."""
    found = defaultdict(set)
    for row in rows:
        found[row["_ng_task_index"]].add(row["endpoint"])
    return found


class During(Notes):
    """Does something once, after so many rollouts are on disk."""

    def __init__(self, count: int, action: Any) -> None:
        super().__init__()
        self.left, self.action = count, action

    def rollout(self, *_: Any) -> None:
        self.left -= 1
        if self.left == 0:
            self.action()


async def test_repeats_of_a_prompt_go_to_one_endpoint(tmp_path: Path) -> None:
    """Its prefix cache holds the prompt; all endpoints get work; the one that answered stands in the row."""
    prompts(tmp_path / "in.jsonl", 60)
    first, second = ModelServer(), ModelServer()
    with first.serving(), second.serving():
        asked = settings(tmp_path, first, replica_urls=(second.url,), num_samples_in_parallel=2)
        result = await collect(asked)
    rows = assert_sealed(result, 4)
    names = [first.url, second.url]
    chosen = [preference(row["prompt_id"], names, str)[0] for row in rows]
    assert sum(row["endpoint"] == name for row, name in zip(rows, chosen, strict=True)) > 0.9 * len(rows)
    assert {row["endpoint"] for row in rows} == set(names)
    assert first.requests == sum(row["endpoint"] == first.url for row in rows)


async def test_with_room_everywhere_every_prompt_stays_at_its_own(tmp_path: Path) -> None:
    """A limit that is never reached moves nothing."""
    prompts(tmp_path / "in.jsonl", 30)
    first, second, third = (ModelServer(latency=(0.0, 0.01)) for _ in range(3))
    with first.serving(), second.serving(), third.serving():
        urls = (second.url, third.url)
        asked = settings(tmp_path, first, replica_urls=urls, num_samples_in_parallel=12, parallel_per_endpoint=12)
        rows = assert_sealed(await collect(asked), 4)
    assert all(len(found) == 1 for found in homes(rows).values())


async def test_a_full_endpoint_passes_its_prompts_on(tmp_path: Path) -> None:
    """Never more than the limit at one of them, and all slots in use: neither answers before all are there."""
    prompts(tmp_path / "in.jsonl", 20)
    first, second = ModelServer(hold=4), ModelServer(hold=4)
    with first.serving(), second.serving():
        asked = settings(
            tmp_path, first, replica_urls=(second.url,), num_samples_in_parallel=8, parallel_per_endpoint=4
        )
        result = await collect(asked)
    assert (first.high_water, second.high_water, result.high_water) == (4, 4, 8)
    assert len(assert_sealed(result, 4)) == 80


async def test_limits_that_are_too_small_are_said_and_hold(tmp_path: Path) -> None:
    """Fewer slots than asked for: a note, and the run ends all the same."""
    prompts(tmp_path / "in.jsonl", 10)
    first, second, watching = ModelServer(latency=(0, 0.01)), ModelServer(latency=(0, 0.01)), Notes()
    with first.serving(), second.serving():
        asked = settings(
            tmp_path, first, replica_urls=(second.url,), num_samples_in_parallel=64, parallel_per_endpoint=2
        )
        result = await collect(asked, observer=watching)
    assert [note for note in watching.notes if "--parallel-per-endpoint 2 take no more than 4" in note]
    assert (result.rollouts, result.high_water) == (40, 4)
    assert max(first.high_water, second.high_water) <= 2


async def test_an_endpoint_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    """Its prompts move to the other, each of its requests is made again there, and it is said once."""
    prompts(tmp_path / "in.jsonl", 80)
    living = ModelServer(latency=(0.001, 0.01))
    with living.serving(), server_process() as (process, doomed):
        watching = During(60, process.kill)
        asked = settings(tmp_path, living, replica_urls=(doomed,), num_samples_in_parallel=16)
        result = await collect(asked, observer=watching)
    rows = assert_sealed(result, 4)
    assert (len(rows), result.failed) == (320, 0)
    assert {row["endpoint"] for row in rows} == {living.url, doomed}
    gone = [note for note in watching.notes if doomed in note]
    assert len(gone) == 1
    assert "gone" in gone[0]
    failures = rows_of(result.paths.failures)
    assert failures
    assert {row["endpoint"] for row in failures} == {doomed}


async def test_an_endpoint_that_hangs_is_left_until_it_answers_again(tmp_path: Path) -> None:
    """Its requests run out of time, its prompts go elsewhere, and when it wakes it gets prompts again."""
    prompts(tmp_path / "in.jsonl", 150)
    steady, hanging = ModelServer(latency=(0.01, 0.03)), ModelServer(latency=(0.01, 0.03))

    class Waking(Notes):
        def note(self, text: str) -> None:
            super().note(text)
            if "gone" in text:
                hanging.wake()

        def rollout(self, *_: Any) -> None:
            if hanging.requests >= 40 and not self.notes:
                hanging.hang()

    watching = Waking()
    with steady.serving(), hanging.serving():
        asked = settings(
            tmp_path, steady, replica_urls=(hanging.url,), num_samples_in_parallel=8, timeouts=Timeouts(total=0.5)
        )
        result = await collect(asked, observer=watching)
        hanging.wake()
    assert (len(assert_sealed(result, 4)), result.failed) == (600, 0)
    assert [note.split(" (")[0] for note in watching.notes] == [
        f"{hanging.url}: gone", f"{hanging.url}: answers again"
    ]  # fmt: skip


async def test_the_run_ends_when_all_endpoints_are_gone(tmp_path: Path) -> None:
    """Not before; the message names them, and what was collected is there."""
    prompts(tmp_path / "in.jsonl", 200)
    first, second = ModelServer(latency=(0.005, 0.01)), ModelServer(latency=(0.005, 0.01))

    def both() -> None:
        first.take_down()
        second.take_down()

    with first.serving(), second.serving():
        asked = settings(tmp_path, first, replica_urls=(second.url,), num_samples_in_parallel=8)
        with pytest.raises(ServerError) as caught:
            await collect(asked, observer=During(40, both))
        assert str(caught.value).startswith(f"{first.url}, {second.url}: no connection for 0.5 seconds")
        assert str(caught.value).endswith("start one of them and run again with --resume")
    assert 40 <= len(rows_of(asked.output)) < 800


async def test_one_that_is_missing_at_the_start_is_a_note(tmp_path: Path) -> None:
    """Whichever it is; all of them missing is an error, as is another model, named with where it is."""
    prompts(tmp_path / "in.jsonl", 5)
    here, other = ModelServer(), ModelServer(models=("another",))
    with ModelServer().serving() as away:
        missing = away.url
    watching = Notes()
    with here.serving(), other.serving():
        asked = settings(tmp_path, here, base_url=missing, replica_urls=(here.url,))
        result = await collect(asked, observer=watching)
        assert len(assert_sealed(result, 4)) == 20
        assert len([note for note in watching.notes if missing in note]) == 1
        with pytest.raises(ServerError, match=f"{missing}: cannot connect"):
            await collect(replace(asked, replica_urls=(), overwrite=True))
        with pytest.raises(ServerError, match=f"^{other.url}: .*another.*{here.url} serves test-model"):
            await collect(replace(asked, base_url=here.url, replica_urls=(other.url,), overwrite=True))
    assert len(rows_of(asked.output)) == 20


async def test_a_retry_goes_elsewhere(tmp_path: Path) -> None:
    """An endpoint that turns a request away does not get it again while another takes it."""
    prompts(tmp_path / "in.jsonl", 20)
    picky, kind = ModelServer(busy_first="0"), ModelServer()
    with picky.serving(), kind.serving():
        asked = settings(tmp_path, picky, replica_urls=(kind.url,), num_samples_in_parallel=4, parallel_per_endpoint=4)
        result = await collect(asked)
    assert len(assert_sealed(result, 4)) == 80
    turned_away = {(row["_ng_task_index"], row["_ng_rollout_index"]) for row in rows_of(result.paths.failures)}
    assert turned_away
    again = [row for row in rows_of(result.paths.rollouts) if row["attempt"] > 1]
    assert {row["endpoint"] for row in again} == {kind.url}
    assert result.retries == {"http_429": len(turned_away)}


async def test_an_endpoint_that_gives_errors_alone_is_passed_over_until_it_works(tmp_path: Path) -> None:
    """Two in flight at each: it costs eight attempts, those that were out, and a try now and then; the other does the
    work. When it works again it gets its prompts back, and both are told."""
    prompts(tmp_path / "in.jsonl", 150)
    broken, kind, watching = (
        ModelServer(fault_every=1, fault_kinds=("500",)),
        ModelServer(latency=(0.01, 0.02)),
        Notes(),
    )
    asked_at_repair: list[int] = []

    async def repair() -> None:
        await until(lambda: kind.requests > 100)
        asked_at_repair.append(broken.requests)
        broken.fault_every = 0

    with broken.serving(), kind.serving():
        asked = settings(tmp_path, broken, replica_urls=(kind.url,), num_samples_in_parallel=4, parallel_per_endpoint=2)
        async with anyio.create_task_group() as group:
            group.start_soon(repair)
            result = await collect(asked, observer=watching)
    assert (len(assert_sealed(result, 4)), result.failed) == (600, 0)
    assert 8 <= asked_at_repair[0] <= 8 + 2 + 4
    said = [note.removeprefix(f"{broken.url}: ") for note in watching.notes if note.startswith(broken.url)]
    assert said == [
        "gives errors alone (HTTP 500: CUDA error: out of luck); its prompts go to the other endpoints meanwhile",
        "gives good replies again",
    ]
    assert broken.requests > 50


async def test_endpoints_that_all_give_errors_are_all_asked(tmp_path: Path) -> None:
    """Nothing is passed over when nothing works: every attempt is made, and the run goes on when one recovers."""
    prompts(tmp_path / "in.jsonl", 20)
    servers = [ModelServer(fault_every=1, fault_kinds=("500",)) for _ in range(2)]
    retry = RetryPolicy(max_attempts=1000, backoff_base=0.01, backoff_cap=0.05)

    async def repair() -> None:
        await until(lambda: all(server.requests > 30 for server in servers))
        servers[1].fault_every = 0

    with servers[0].serving(), servers[1].serving():
        asked = settings(tmp_path, servers[0], replica_urls=(servers[1].url,), retry=retry, num_samples_in_parallel=4)
        async with anyio.create_task_group() as group:
            group.start_soon(repair)
            result = await collect(asked)
    assert (len(assert_sealed(result, 4)), result.failed) == (80, 0)


@dataclass
class Leaving(ModelServer):
    """A server that goes down with its 60th request; `leaves` is what goes."""

    leaves: tuple[str, ...] = ("chat", "models")

    def _answer(self, body: dict[str, Any], prompt: str, number: int) -> Response:
        if number == 60:
            self.down = self.leaves
        return super()._answer(body, prompt, number)


IMPATIENT = RetryPolicy(max_attempts=3, backoff_base=0.01, backoff_cap=0.02, dead_after=0.2)


async def test_an_outage_of_the_only_server_costs_no_attempts(tmp_path: Path) -> None:
    """All it says is 503, to the question for its models too, for longer than all attempts and --dead-after would last:
    nothing is sent meanwhile, and then every rollout is made. Both ends are told."""
    prompts(tmp_path / "in.jsonl", 50)
    server, watching = Leaving(), Notes()
    sent: list[int] = []

    async def repair() -> None:
        await until(lambda: bool(server.down))
        asked = server.listed
        await until(lambda: server.listed >= asked + 3)
        sent.append(server.requests)
        await until(lambda: server.listed >= asked + 5)
        sent.append(server.requests)
        server.down = ()

    with server.serving():
        async with anyio.create_task_group() as group:
            group.start_soon(repair)
            given = settings(tmp_path, server, retry=IMPATIENT, num_samples_in_parallel=16)
            result = await collect(given, observer=watching)
    assert (result.rollouts, result.failed) == (200, 0)
    assert sent[0] == sent[1]
    assert [note for note in watching.notes if server.url in note] == [
        f"{server.url}: gives errors alone, for its model list too (HTTP 503: upstream is away); nothing is sent until"
        " that is over; after 3600 seconds (--rollout-timeout) the run ends",
        f"{server.url}: answers again",
    ]


async def test_an_outage_that_does_not_end_ends_the_run(tmp_path: Path) -> None:
    """After the time of a rollout's attempts: one line, and what was collected is on disk."""
    prompts(tmp_path / "in.jsonl", 50)
    server = Leaving()
    with server.serving():
        given = settings(tmp_path, server, retry=IMPATIENT, timeouts=Timeouts(rollout=0.5))
        with pytest.raises(ServerError, match=r"nothing but errors for 0.5 seconds \(--rollout-timeout\) .*--resume"):
            await collect(given)
        assert len(rows_of(given.output)) == 59
        server.down = ()
        again = await collect(replace(given, resume=True))
    assert again.rollouts == 200


async def test_prompts_that_the_server_cannot_bear_cost_their_own_attempts(tmp_path: Path) -> None:
    """Errors alone, but a model list: the last prompts fail as ever, after their attempts, and nobody waits."""
    prompts(tmp_path / "in.jsonl", 50)
    server, watching = Leaving(leaves=("chat",)), Notes()
    with server.serving():
        result = await collect(settings(tmp_path, server, retry=IMPATIENT), observer=watching)
    assert (result.rollouts, result.failures) == (59, {"http_503": 141})
    assert server.listed >= 2
    assert watching.notes == []


async def test_a_key_that_expires_costs_no_more_than_what_was_out(tmp_path: Path) -> None:
    """With the 60th reply all it says is 401, to the question for its models too: nothing more is sent, though requests
    from before still get good replies. The run ends after --dead-after with the server's word, and --resume with a
    good key has the rest."""
    prompts(tmp_path / "in.jsonl", 50)
    server, watching = Leaving(leaves=("key",), latency=(0.0, 0.1)), Notes()
    with server.serving():
        given = settings(tmp_path, server, retry=IMPATIENT, num_samples_in_parallel=8)
        with pytest.raises(ServerError, match=r"nothing but errors for .* \(--dead-after\) \(HTTP 401.*--resume"):
            await collect(given, observer=watching)
        rows, failures = rows_of(given.output), rows_of(given.output.with_name("rollouts_failures.jsonl"))
        assert len(rows) + len(failures) == server.requests < 60 + 3 * 8
        (told,) = watching.notes
        assert "for its model list too (HTTP 401" in told
        server.down = ()
        again = await collect(replace(given, resume=True))
    assert (again.rollouts, again.failed) == (200, 0)
