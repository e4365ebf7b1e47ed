"""A whole run through each fault of a network: what may pass is tried again, the rest is on record, nothing is lost."""

from __future__ import annotations

import itertools
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from collector import CollectSettings, RetryPolicy, collect
from collector.settings import Timeouts
from tests.faults.runs import rows_in, write_prompts
from tests.faulty_server import (
    Behaviour,
    Exchange,
    FaultyServer,
    chat,
    chat_body,
    garbage,
    gzip_bomb,
    gzipped,
    never_answers,
    oversized,
    redirect,
    reply,
    reset_before_reply,
    reset_mid_body,
    slow_body,
    then_close,
    truncated_chunks,
    unlimited_body,
)

_TASKS, _REPEATS, _EVERY = 10, 2, 4

PASSING: dict[str, Behaviour] = {
    "429, soon": reply(429, "slow down", Retry_After="0.01"),
    "429, by date": reply(429, "slow down", Retry_After=formatdate(time.time() - 5, usegmt=True)),
    "429, next year": reply(429, "slow down", Retry_After="31536000"),
    "429, nonsense": reply(429, "slow down", Retry_After="soon"),
    "500": reply(500, {"error": {"message": "CUDA error"}}),
    "502": reply(502, "<html>Bad Gateway</html>"),
    "503": reply(503, b""),
    "HTML with 200": reply(200, "<html>login</html>"),
    "no JSON": reply(200, "{'choices': []}"),
    "half of a JSON": reply(200, '{"choices": [{"message": {"role": "assi'),
    "empty choices": reply(200, chat_body(choices=[])),
    "null": reply(200, "null"),
    "nothing": reply(200, b""),
    "reset in the body": reset_mid_body,
    "cut chunks": truncated_chunks,
    "no HTTP": garbage,
    "slow loris": slow_body,
    "silence": never_answers,
}
"""Faults that may pass: tried again until each rollout is there."""
LASTING: dict[str, Behaviour] = {
    "1 GB announced": oversized(2**30),
    "no end": unlimited_body,
    "gzip bomb": gzip_bomb(8),
    "another host": redirect("http://127.0.0.2:9/v1/chat/completions"),
    "400": reply(400, {"error": {"message": "too long"}}),
}
"""Faults that will not pass by asking again: a failure each."""
HARMLESS: dict[str, Behaviour] = {
    "reset of a used connection": reset_before_reply,
    "stale keep-alive": then_close(chat()),
    "compressed": gzipped(chat_body()),
    "U+2028 and line breaks": reply(200, '{\n"id": "x",\r\n"choices": [{"message": {"content": "a\u2028b\\n"}}]\n}\n'),
}
"""What a client must simply cope with."""


def _faulty(fault: Behaviour) -> Behaviour:
    """Every fourth request for a rollout meets the fault."""
    number = itertools.count(1)

    async def answer(exchange: Exchange) -> None:
        if exchange.method == "GET":
            await reply(200, {"data": [{"id": "m"}]})(exchange)
        elif next(number) % _EVERY == 0:
            await fault(exchange)
        else:
            await chat()(exchange)

    return answer


@pytest.mark.parametrize("name", [*PASSING, *LASTING, *HARMLESS])
async def test_a_run_gets_through(tmp_path: Path, name: str) -> None:
    """Every rollout is in exactly one place, the file is sealed, and nobody else's host was asked."""
    fault = {**PASSING, **LASTING, **HARMLESS}[name]
    async with FaultyServer(_faulty(fault)) as server:
        result = await collect(
            CollectSettings(
                input=write_prompts(tmp_path / "in.jsonl", _TASKS),
                output=tmp_path / "out" / "r.jsonl",
                base_url=f"{server.url}/v1",
                num_repeats=_REPEATS,
                num_samples_in_parallel=3,
                retry=RetryPolicy(max_attempts=8, backoff_base=0.005, backoff_cap=0.01, retry_after_cap=0.02),
                timeouts=Timeouts(total=0.25),
                max_reply_bytes=2**20,
            )
        )
    keys = [(row["_ng_task_index"], row["_ng_rollout_index"]) for row in rows_in(result.paths.rollouts)]
    assert keys == sorted(keys)
    failures = rows_in(result.paths.failures) if result.paths.failures.exists() else []
    final = {(row["_ng_task_index"], row["_ng_rollout_index"]) for row in failures if row["final"]}
    if name in LASTING:
        aside = rows_in(result.paths.incomplete)
        found = {*keys, *((row["_ng_task_index"], row["_ng_rollout_index"]) for row in aside)}
        assert len(final) == result.failed == _TASKS * _REPEATS // _EVERY
        assert not found & final
        assert len(found | final) == _TASKS * _REPEATS
    else:
        assert (len(keys), final) == (_TASKS * _REPEATS, set())
        assert failures or name in HARMLESS
    assert all(row["message"].isprintable() and len(row["message"]) < 600 for row in failures)
