"""What each protocol makes of a server's reply: the output kept whole, its oddities named, a fault never a rollout."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import ReplyError
from collector.protocols import get_protocol
from collector.records.rollouts import Attempt, encode_rollout
from collector.records.rows import PromptRow, Reply, Task, Usage
from tests.faulty_server import chat_body

TEXT_ITEM = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "42"}]}
CALL_ITEM = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
REASONING_ITEM = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}


def parsed(protocol: str, body: Any) -> Reply:
    return get_protocol(protocol).parse(body if isinstance(body, bytes) else orjson.dumps(body))


def chat_reply(message: dict[str, Any], finish_reason: Any = "stop", **changes: Any) -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": finish_reason}
    return parsed("chat", chat_body(choices=[choice], **changes))


def response_body(*items: Any, status: str = "completed", **changes: Any) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    return {
        "id": "r",
        "object": "response",
        "status": status,
        "error": None,
        "output": items,
        "usage": usage,
        **changes,
    }


def test_a_plain_chat_reply() -> None:
    """Text, output, usage, and no flag: the everyday case."""
    body = orjson.dumps(chat_body("hello"))
    assert parsed("chat", body) == Reply(
        raw=body,
        output=[{"role": "assistant", "content": "hello"}],
        text="hello",
        finish_reason="stop",
        usage=Usage(3, 2),
    )


@pytest.mark.parametrize(
    ("message", "finish_reason", "flags"),
    [
        ({"content": "4"}, "length", ("truncated",)),
        ({"content": ""}, "stop", ("empty",)),
        ({"reasoning_content": "hm"}, "length", ("empty", "truncated", "reasoning")),
        ({"reasoning": "hm", "content": "4"}, "stop", ("reasoning",)),
        ({"refusal": "no"}, "stop", ("refusal",)),
        ({"content": "4"}, "content_filter", ("content_filter",)),
        ({"content": "", "tool_calls": []}, "content_filter", ("empty", "content_filter")),
        ({"content": "4"}, ["length"], ()),
        ({"content": "<think>hm</think>4"}, "stop", ()),
        ({"tool_calls": [{"id": "c", "function": {"name": "f"}}]}, "tool_calls", ("tool_calls",)),
    ],
)
def test_odd_chat_replies_are_kept_and_flagged(message: dict[str, Any], finish_reason: Any, flags: Any) -> None:
    """Output only in reasoning, calls or a refusal is no error; each kind has its flag."""
    assert chat_reply(message, finish_reason).flags == flags


def test_more_choices_than_asked_for_are_flagged() -> None:
    """The first is the rollout; the others stand in the raw reply."""
    choices = [{"message": {"content": "a"}}, {"message": {"content": "b"}}]
    reply = parsed("chat", {"choices": choices})
    assert (reply.text, reply.flags, reply.usage) == ("a", ("extra_choices",), None)


@pytest.mark.parametrize(
    ("protocol", "body", "failure_class", "says"),
    [
        ("chat", b"<html>busy</html>", "not_json", "<html>busy"),
        ("chat", b'{"choices": [', "not_json", "not JSON"),
        ("chat", b"", "not_json", "not JSON"),
        ("chat", b"[1]", "wrong_shape", "no object"),
        ("chat", b"{}", "wrong_shape", "its keys: none"),
        ("chat", b'{"detail": 1}', "wrong_shape", "its keys: detail"),
        ("chat", b'{"choices": []}', "empty_choices", "empty"),
        ("chat", b'{"choices": [1]}', "wrong_shape", "no object"),
        ("chat", b'{"choices": [{"text": "x"}]}', "wrong_shape", "no message"),
        ("chat", b'{"error": {"message": "out of\\u001b[31m memory", "code": 5}}', "error_body", "out of memory"),
        ("chat", b'{"error": "boom"}', "error_body", "boom"),
        ("completions", b'{"choices": [{"message": {}}]}', "wrong_shape", "no text"),
        ("completions", b'{"choices": []}', "empty_choices", "empty"),
        ("responses", b'{"status": "completed"}', "wrong_shape", "no output list"),
        ("responses", b'{"status": "failed", "error": {"message": "boom"}}', "error_body", "boom"),
        ("responses", b'{"status": "in_progress", "output": []}', "error_body", "in_progress"),
        ("agent", b"<html>", "not_json", "not JSON"),
        ("agent", b'{"reward": 1.0}', "wrong_shape", "no response"),
        ("agent", b'{"reward": 0.0, "_ng_failure_class": "judge_failed"}', "judge_failed", "judge_failed"),
    ],
)
def test_what_is_no_rollout_is_an_error_with_its_class(
    protocol: str, body: bytes, failure_class: str, says: str
) -> None:
    """A 200 that holds no rollout becomes a ReplyError that quotes it, safe to print, and may be tried again."""
    with pytest.raises(ReplyError, match=says.replace("[", r"\[")) as caught:
        parsed(protocol, body)
    assert caught.value.failure_class == failure_class
    assert caught.value.retryable
    assert str(caught.value).isprintable()


def test_raw_bytes_are_untouched_unless_they_hold_a_line_break() -> None:
    """Numbers that a re-encoding would change survive, also when a pretty-printed reply is put on one line."""
    body = b'{"choices": [{"message": {"content": "a\\n\xe2\x80\xa8b"}, "logprob": -0.10000000000000000001}]}'
    assert parsed("chat", body + b"\n").raw == body
    pretty = b'{\n "choices": [\r\n  {"message": {"content": "a\\nb"}, "seed": 123456789012345678901234567890}]}'
    raw = parsed("chat", pretty).raw
    assert raw == b'{"choices":[{"message":{"content":"a\\nb"},"seed":123456789012345678901234567890}]}'


def test_completions_reply() -> None:
    """Plain text becomes an assistant message, so that every rollout's output has one form."""
    reply = parsed("completions", {"choices": [{"text": "4", "finish_reason": "length"}], "usage": None})
    assert (reply.output, reply.text, reply.flags) == ([{"role": "assistant", "content": "4"}], "4", ("truncated",))


@pytest.mark.parametrize(
    ("body", "finish_reason", "flags"),
    [
        (response_body(TEXT_ITEM), "stop", ()),
        (response_body(REASONING_ITEM, TEXT_ITEM), "stop", ("reasoning",)),
        (response_body(CALL_ITEM), "tool_calls", ("tool_calls",)),
        (
            response_body(TEXT_ITEM, status="incomplete", incomplete_details={"reason": "max_output_tokens"}),
            "length",
            ("truncated",),
        ),
        (
            response_body(TEXT_ITEM, status="incomplete", incomplete_details={"reason": "content_filter"}),
            "content_filter",
            ("content_filter",),
        ),
        (response_body(TEXT_ITEM, max_output_tokens=2), "length", ("truncated",)),
        (response_body(TEXT_ITEM, max_output_tokens=3), "stop", ()),
        (response_body(), "stop", ("empty",)),
        (response_body([[TEXT_ITEM]]), "stop", ()),
    ],
)
def test_responses_reply(body: dict[str, Any], finish_reason: str, flags: Any) -> None:
    """Statuses in Chat's words; a server that calls a cut response completed is caught where it repeats the limit."""
    reply = parsed("responses", body)
    assert (reply.finish_reason, reply.flags, reply.usage) == (finish_reason, flags, Usage(3, 2))


def test_an_agents_row_gives_response_reward_and_fields() -> None:
    """The response's own bytes are kept, its reward is the rollout's, and its other fields come along."""
    response = json.dumps(response_body(TEXT_ITEM)).encode()
    body = b'{"responses_create_params": {}, "response": %s, "reward": 1, "judge": "ok", "_ng_task_index": 0}'
    body %= response
    reply = parsed("agent", body)
    assert reply.raw == response
    assert (reply.reward, reply.text) == (1.0, "42")
    assert reply.fields == {"responses_create_params": {}, "judge": "ok"}
    assert parsed("agent", b'{"response": %s}' % response).reward is None


@pytest.mark.parametrize("reward", [b"null", b"true", b'"1"', b"NaN", b"Infinity", b"1e309", b"[1]"])
def test_a_reward_that_is_no_finite_number_is_a_failure(reward: bytes) -> None:
    """Never a zero: a broken judge must not look like a wrong answer."""
    response = orjson.dumps(response_body(TEXT_ITEM))
    with pytest.raises(ReplyError) as caught:
        parsed("agent", b'{"response": %s, "reward": %s}' % (response, reward))
    assert caught.value.failure_class == "bad_reward"


def test_an_agents_final_failure_is_not_tried_again() -> None:
    """NeMo Gym's own word on it."""
    with pytest.raises(ReplyError) as caught:
        parsed("agent", b'{"_ng_failure_class": "setup", "_ng_failure_terminal": true}')
    assert not caught.value.retryable


WORDS = """choices message text content role tool_calls function name arguments refusal reasoning reasoning_content
output type status usage prompt_tokens completion_tokens finish_reason incomplete_details reason max_output_tokens
response reward reward_components summary call_id id error metadata image_url"""
KEYS = st.sampled_from(WORDS.split())
LEAVES = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5)
KINDS = st.sampled_from(["message", "reasoning", "function_call", "output_text", "text", "refusal", "x_call_output"])
ANY = st.recursive(
    LEAVES | KINDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
TASK = Task(PromptRow(0, 1, {"prompt": "hi"}, "hi", [{"role": "user", "content": "hi"}], "hi", {}, "ab" * 8), 0, {}, 1)


@given(protocol=st.sampled_from(["chat", "completions", "responses", "agent"]), part=ANY, more=ANY)
def test_whatever_a_server_says_is_a_row_or_a_reply_error(protocol: str, part: Any, more: Any) -> None:
    """Nothing that a server can put where the answer belongs raises anything else: that would end the whole run."""
    whole = {
        "chat": {"choices": [{"message": part, "finish_reason": more}], "usage": more},
        "completions": {"choices": [{"text": "hi", "finish_reason": part}, more], "usage": part},
        "responses": {"output": [part, more], "incomplete_details": more, "usage": part, "status": "incomplete"},
        "agent": {"response": {"output": [part]}, "reward": 1, "reward_components": more, "own": part},
    }
    for body in (whole[protocol], part):
        try:
            reply = get_protocol(protocol).parse(orjson.dumps(body))
            line = encode_rollout(TASK, reply, None, Attempt(1, "http://h", 0.0, 0.0))
        except ReplyError:
            continue
        assert orjson.loads(line)["output"] == orjson.loads(orjson.dumps(reply.output))


def test_token_counts_beyond_belief_are_left_out() -> None:
    """Their sum would be no 64-bit number, and the row could not be written."""
    body = {"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 2**64 - 1, "completion_tokens": 2}}
    assert parsed("chat", body).usage == Usage(0, 2)


def test_a_hundred_thousand_odd_items_are_read_in_one_pass() -> None:
    """Each joins the last message; were the list copied for each, this would take minutes (the lists' sum: 5e9)."""
    reply = parsed("responses", {"output": [5] * 100_000, "status": "completed"})
    assert len(reply.output[0]["items"]) == 100_000
