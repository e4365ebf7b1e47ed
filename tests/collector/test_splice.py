"""The quick ways give what the plain ones give, byte for byte: bodies, rows, and everyday replies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import ReplyError, RequestError
from collector.protocols import get_protocol
from collector.protocols.params import to_chat_params, to_responses_params
from collector.protocols.plain import plain_reply, text_of_items, text_of_message
from collector.protocols.replies import make_reply
from collector.records.messages import messages_from_items
from collector.records.rollouts import RESERVED, Attempt, encode_rollout
from collector.records.rows import JsonObject, Reply, Task, Usage, Verdict
from collector.records.splice import split_at
from tests.collector.test_protocols import settings, task

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
SEEDS = st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=4)
PARAMS = st.dictionaries(st.sampled_from(["temperature", "top_k", "max_output_tokens", "stop", "user"]), VALUES)
EXTRA = st.dictionaries(st.sampled_from(["temperature", "top_k", "own", "stop"]), VALUES, max_size=2)


@given(body=st.dictionaries(st.text(max_size=4), VALUES, max_size=4), name=st.text(max_size=4), value=NUMBERS)
def test_two_parts_and_the_value_are_the_whole(body: JsonObject, name: str, value: Any) -> None:
    """Wherever the field stands, and when it stands alone."""
    body = {**body, name: value}
    parts = split_at(body, name)
    assert parts.before + orjson.dumps(value) + parts.after == orjson.dumps(body)


@given(params=PARAMS, extra=EXTRA, seeds=SEEDS, samples=st.integers(1, 3), model=st.none() | st.text(min_size=1))
def test_a_body_is_what_it_would_be_without_its_siblings(
    params: JsonObject, extra: JsonObject, seeds: list[int], samples: int, model: str | None
) -> None:
    """All repeats of a row share one encoding: each body is the whole dict's, in its order, with its own seed."""
    of = settings(model=model, extra_body=extra)
    first = task([{"role": "user", "content": "\u00e9?"}], params=params)
    wanted = {"model": model} if model else {}
    more = {"n": samples} if samples > 1 else {}
    for seed in seeds:
        repeat = replace(first, seed=seed)
        tail = {"seed": seed, **more, "stream": False}
        chat = {**wanted, **to_chat_params(params), **tail, "messages": repeat.row.messages, **extra}
        assert get_protocol("chat").build(repeat, of, samples) == orjson.dumps(chat)
        del tail["stream"]
        tail = {"seed": seed, "stream": False}
        response = {**wanted, **to_responses_params(params), **tail, "input": repeat.row.input, **extra}
        assert get_protocol("responses").build(repeat, of) == orjson.dumps(response)


def test_one_row_can_be_asked_in_several_ways() -> None:
    """Another protocol, other settings, other parameters, another number of samples: each has its own body."""
    row = task("x").row
    ladder: list[JsonObject] = [{"temperature": 1}, {"temperature": 1.0}, {"temperature": 0.5}]
    asked = {
        get_protocol(name).build(Task(row, 0, params, 5), of, samples)
        for name in ("chat", "completions")
        for params in ladder
        for of in (settings(), settings(model="m"))
        for samples in (1, 2)
    }
    assert len(asked) == 24


def test_a_body_that_cannot_be_written_fails_each_time() -> None:
    """The first failure leaves nothing behind that a second attempt would take for a body."""
    for _ in range(2):
        with pytest.raises(RequestError, match="cannot be written as JSON"):
            get_protocol("chat").build(task("\ud800"), settings())


NAMES = st.sampled_from([*sorted(RESERVED), "uuid", "answer", "note"])
FIELDS = st.dictionaries(NAMES, VALUES, max_size=4)
TOLD = st.dictionaries(NAMES.filter(lambda name: name != "responses_create_params"), VALUES, max_size=4)
MESSAGES = st.lists(st.fixed_dictionaries({"role": st.just("assistant"), "content": st.text(max_size=9)}), max_size=2)


@given(source=FIELDS, params=PARAMS, told=st.none() | TOLD, brought=TOLD, output=MESSAGES, repeats=st.integers(1, 3))
def test_a_row_is_what_one_dict_would_be(
    source: JsonObject, params: JsonObject, told: JsonObject | None, brought: JsonObject, output: Any, repeats: int
) -> None:
    """Fields under any name, the contract's own included, from the source, the verifier and the agent."""
    row = replace(task("hi").row, fields=source)
    verdict = None if told is None else Verdict(0.5, {"a": 1}, told)
    reply = Reply(b'{"x": 1.10}', output, "t", "stop", Usage(1, 2), ("odd",), None, brought)
    for index in range(repeats):
        of = Task(row, index, params, 9)
        attempt = Attempt(index + 1, "http://h", 0.5, 1.25)
        assert encode_rollout(of, reply, verdict, attempt) == one_dict(of, reply, verdict, attempt)


def one_dict(of: Task, reply: Reply, verdict: Verdict | None, attempt: Attempt) -> bytes:
    """A rollout's row by the book: one dict, filled in the documented order, encoded at once."""
    source = {k: v for k, v in of.row.fields.items() if k != "responses_create_params"}
    moved = {k: v for k, v in source.items() if k in RESERVED}
    row: JsonObject = {"_ng_task_index": of.row.task_index, "_ng_rollout_index": of.rollout_index}
    row["prompt_id"] = of.row.prompt_id
    row |= {k: v for k, v in source.items() if k not in RESERVED}
    row |= {"source_fields": moved} if moved else {}
    row["responses_create_params"] = {"input": of.row.input, **of.params}
    row |= {"response": orjson.Fragment(reply.raw), "output": reply.output}
    if verdict is not None:
        row |= {"reward": float(verdict.reward), "reward_components": dict.fromkeys(verdict.components, 1.0)}
    row |= {"finish_reason": reply.finish_reason}
    row |= {"usage": {"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}, "seed": of.seed}
    row |= {"attempt": attempt.number, "timing": {"queued": 0.5, "latency": 1.25}, "endpoint": "http://h"}
    row |= {"flags": list(reply.flags)}
    for fields in (verdict.fields if verdict else {}, reply.fields):
        for name, value in fields.items():
            if name not in row and name not in RESERVED:
                row[name] = value
            elif name not in row or row[name] != value:
                row.setdefault("reply_fields", {}).setdefault(name, value)
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


_CHAT_KEYS = ["role", "content", "refusal", "tool_calls", "annotations", "audio", "function_call", "name"]
KEYS = st.sampled_from([*_CHAT_KEYS, "reasoning", "reasoning_content", "type", "id"])
PARTS = (
    st.none()
    | st.just([])
    | st.text(max_size=4)
    | st.sampled_from(["assistant", "user", "message", " \n", "reasoning", "function_call", {}, 0, ["x"]])
)


@given(
    message=st.dictionaries(KEYS, PARTS, max_size=5),
    finish_reason=st.sampled_from(["stop", "length", "content_filter", None, ["length"]]),
)
def test_a_plain_message_reads_alike_by_the_short_way_and_the_long(message: JsonObject, finish_reason: Any) -> None:
    """Whatever the short way takes for plain text is just that by the rules for all messages."""
    text = text_of_message(message)
    output = messages_from_items([{"role": "assistant", **message}])
    long = make_reply(b"{}", output, finish_reason=finish_reason, usage=None, odd=("extra_choices",), samples=2)
    if text is None:
        return
    assert long == plain_reply(b"{}", text, finish_reason=finish_reason, usage=None, odd=("extra_choices",), samples=2)
    assert list(long.output[0]) == ["role", "content"]


ITEMS = st.lists(st.dictionaries(KEYS | st.just("status"), PARTS | st.just("completed"), max_size=4), max_size=2)
TEXT_PARTS = st.fixed_dictionaries({"type": st.sampled_from(["output_text", "refusal"])}, optional={"text": PARTS})
MESSAGE_ITEMS = st.fixed_dictionaries(
    {"type": st.just("message"), "role": st.sampled_from(["assistant", "user"])},
    optional={"content": st.lists(TEXT_PARTS, max_size=2) | PARTS, "status": PARTS, "refusal": PARTS, "id": PARTS},
)


@given(items=ITEMS | st.lists(MESSAGE_ITEMS, max_size=2))
def test_plain_items_read_alike_by_the_short_way_and_the_long(items: list[JsonObject]) -> None:
    """The same for Responses."""
    text = text_of_items(items)
    if text is not None:
        long = make_reply(b"{}", messages_from_items(items), finish_reason="length", usage=None)
        assert long == plain_reply(b"{}", text, finish_reason="length", usage=None)


@pytest.mark.parametrize(
    "message",
    [
        {"role": "assistant", "content": "x"},
        {"role": "assistant", "content": "x", "refusal": None, "annotations": []},
        {"role": "assistant", "content": "x", "reasoning_content": None, "tool_calls": [], "function_call": None},
        {"content": "x"},
    ],
)
def test_everyday_messages_take_the_short_way(message: JsonObject) -> None:
    """OpenAI's, vLLM's, the embedded server's, and the barest one."""
    assert text_of_message(message) == "x"


def test_an_everyday_response_takes_the_short_way() -> None:
    """OpenAI's, vLLM's, and that of NeMo Gym's model servers."""
    part: JsonObject = {"type": "output_text", "text": "x", "annotations": [], "logprobs": None}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
    assert text_of_items([item]) == "x"


COUNTS = st.integers(-2, 5) | st.just(2**60) | st.none() | st.booleans() | st.text(max_size=1)
COUNT_NAMES = st.sampled_from(["prompt_tokens", "completion_tokens", "input_tokens", "output_tokens"])


@given(usage=st.dictionaries(COUNT_NAMES, COUNTS))
def test_token_counts_are_read_by_name(usage: JsonObject) -> None:
    """Chat's name first, then Responses'; what is no believable count is as good as not there."""

    def count(*names: str) -> int | None:
        fit = [usage[n] for n in names if type(usage.get(n)) is int and 0 <= usage[n] <= 2**53]
        return fit[0] if fit else None

    asked, said = count("prompt_tokens", "input_tokens"), count("completion_tokens", "output_tokens")
    body = orjson.dumps({"choices": [{"message": {"content": "x"}}], "usage": usage})
    wanted = None if (asked, said) == (None, None) else Usage(asked or 0, said or 0)
    assert get_protocol("chat").parse(body).usage == wanted


@pytest.mark.parametrize("bad", [b"\xff", b"\\ud800"])
def test_bytes_that_are_no_text_never_come_into_a_row(bad: bytes) -> None:
    """They would make a line of the stream that no reader takes, wherever in the reply they stand."""
    with pytest.raises(ReplyError, match="not JSON"):
        get_protocol("chat").parse(b'{"choices": [{"message": {"content": "x"}}], "id": "%b"}' % bad)
