"""Several samples with one request: asked for, split into replies of their own, and nothing of the reply lost."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import ReplyError
from collector.protocols import get_protocol
from collector.records.rollouts import encode_rollout
from collector.records.rows import Reply, Usage
from tests.collector.test_protocols import asked, settings, task
from tests.collector.test_rollouts import ATTEMPT

TWO = (
    b'{"id": "x", "choices": [ {"index": 0, "message": {"content": "a \\u00e9"}, "logprob": -0.10000000000000000001},'
    b' {"index": 1, "message": {"content": "b"}, "finish_reason": "length"} ],'
    b' "usage": {"prompt_tokens": 7, "completion_tokens": 9}, "own": 123456789012345678901234567890}'
)


def split(body: Any, protocol: str = "chat") -> list[Reply]:
    return get_protocol(protocol).parse_samples(body if isinstance(body, bytes) else orjson.dumps(body))


def test_only_where_the_server_can_are_several_samples_asked_for() -> None:
    """`n` stands in a chat or completions body when it says something; the others have no such field."""
    assert {name: get_protocol(name).several for name in ("chat", "completions", "responses", "agent")} == {
        "chat": True,
        "completions": True,
        "responses": False,
        "agent": False,
    }
    for name in ("chat", "completions"):
        protocol = get_protocol(name)
        assert orjson.loads(protocol.build(task(), settings(), samples=3))["n"] == 3
        assert "n" not in asked(name, task())


def test_each_choice_is_a_reply_of_its_own() -> None:
    """Its raw bytes hold that choice alone, as the server wrote it, and all that was beside the choices."""
    first, second = split(TWO)
    assert b'{"index": 0, "message": {"content": "a \\u00e9"}, "logprob": -0.10000000000000000001}' in first.raw
    assert b'"own":123456789012345678901234567890' in second.raw
    assert orjson.loads(second.raw)["choices"] == [orjson.loads(TWO)["choices"][1]]
    assert (first.text, second.text) == ("a \u00e9", "b")
    assert (first.flags, second.flags) == ((), ("truncated",))
    assert (first.samples, second.samples, second.usage) == (2, 2, Usage(7, 9))


def test_choices_come_in_the_order_of_their_indices() -> None:
    """A server may send them as they finished: which repeat gets which text must not hang on that."""
    choices = [{"index": index, "text": str(index)} for index in (2, 0, 1)]
    replies = split({"choices": choices}, "completions")
    assert [reply.text for reply in replies] == ["0", "1", "2"]
    assert [orjson.loads(reply.raw)["choices"][0]["index"] for reply in replies] == [0, 1, 2]


def test_a_choice_of_no_use_costs_none_of_the_others() -> None:
    """The request cost tokens; `samples` still says how many choices share its usage."""
    replies = split({"choices": [None, {"message": {"content": "b"}}, {"message": 5}]})
    assert [(reply.text, reply.samples) for reply in replies] == [("b", 3)]
    with pytest.raises(ReplyError, match="no message"):
        split({"choices": [{"message": 5}, None]})


@pytest.mark.parametrize("protocol", ["chat", "completions", "responses", "agent"])
def test_one_sample_is_what_parse_gives(protocol: str) -> None:
    """A server that sends one reply sends its raw bytes whole, and its usage is its own."""
    response = {"status": "completed", "output": [{"type": "message", "content": "x"}]}
    body = {
        "chat": {"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": 1}},
        "completions": {"choices": [{"text": "x"}]},
        "responses": response,
        "agent": {"response": response, "reward": 1},
    }[protocol]
    raw = b" " + orjson.dumps(body) + b"\n"
    assert split(raw, protocol) == [get_protocol(protocol).parse(raw)]


def test_a_shared_requests_usage_is_not_a_rows_own() -> None:
    """Its counts are of all samples together: a sum over rows must not count them twice."""
    row = orjson.loads(encode_rollout(task(), split(TWO)[1], None, ATTEMPT, flags=("n_ignored",)))
    assert row["usage"] is None
    assert row["shared_usage"] == {"input_tokens": 7, "output_tokens": 9, "total_tokens": 16, "samples": 2}
    assert row["flags"] == ["truncated", "n_ignored"]


TEXTS = st.lists(st.text(max_size=8), min_size=1, max_size=5)


@given(texts=TEXTS, own=st.dictionaries(st.text(max_size=4), st.text(max_size=4) | st.floats(0, 9), max_size=3))
def test_the_pieces_make_up_the_whole(texts: list[str], own: dict[str, Any]) -> None:
    """Put together again, the replies' choices are the server's, and each has all of the rest."""
    body = {**own, "choices": [{"index": i, "message": {"content": text}} for i, text in enumerate(texts)]}
    pieces = [orjson.loads(reply.raw) for reply in split(body)]
    assert [choice for piece in pieces for choice in piece["choices"]] == body["choices"]
    assert all({**piece, "choices": body["choices"]} == body for piece in pieces)


def test_extra_body_wins_in_every_protocol() -> None:
    """Fields in the server's own vocabulary go in as they are; NeMo Gym refuses strange ones: inside."""
    extra = {"temperature": 0.1, "chat_template_kwargs": {"enable_thinking": False}}
    for name in ("chat", "completions", "responses"):
        assert extra.items() <= asked(name, task(params={"temperature": 0.9}), extra_body=extra).items()
    params = asked("agent", task(params={"temperature": 0.9}), extra_body=extra)["responses_create_params"]
    assert params["temperature"] == 0.1
    assert orjson.loads(params["metadata"]["extra_body"]) == {
        "seed": 7,
        "chat_template_kwargs": {"enable_thinking": False},
    }


def test_an_agents_extra_body_may_bring_metadata() -> None:
    """Its keys stay, an extra body inside it included."""
    extra = {"metadata": {"k": "v", "extra_body": '{"top_k": 3}'}, "min_p": 0.1}
    metadata = asked("agent", task(), extra_body=extra)["responses_create_params"]["metadata"]
    assert metadata["k"] == "v"
    assert orjson.loads(metadata["extra_body"]) == {"seed": 7, "min_p": 0.1, "top_k": 3}
