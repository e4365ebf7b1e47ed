"""Whether an agent's account of its request says more than what it was asked."""

from __future__ import annotations

from typing import Any

import pytest

from collector.errors import ReplyError
from collector.records.requests import adds_nothing
from collector.records.rollouts import encode_rollout
from collector.records.rows import Reply
from tests.collector.test_protocols import task
from tests.collector.test_rollouts import ATTEMPT

ASKED: dict[str, Any] = {
    "input": "hi",
    "temperature": 0.5,
    "max_tokens": 9,
    "tools": [{"type": "function", "name": "f"}],
}
ASKED["metadata"] = {"extra_body": '{"top_k": 1}', "ours": "x"}
TOOLS = [{"type": "function", "name": "f", "strict": None}]


@pytest.mark.parametrize(
    ("told", "nothing"),
    [
        ({}, True),
        ({"input": "hi"}, True),
        ({"input": [{"role": "user", "content": "hi", "type": "message", "status": None}]}, True),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]}, True),
        ({"temperature": None, "top_p": None, "tool_choice": "auto", "parallel_tool_calls": True}, True),
        ({"temperature": 0.5, "max_output_tokens": 9, "tools": TOOLS, "model": "m"}, True),
        ({"metadata": {"extra_body": '{"seed": 7}'}}, True),
        ({"metadata": {"extra_body": "{}", "theirs": "x"}}, False),
        ({"metadata": {"extra_body": "{}", "ours": "x"}}, True),
        ({"temperature": 0.7}, False),
        ({"tools": [{"type": "function", "name": "g"}]}, False),
        ({"top_p": 0.9}, False),
        ({"input": "ho"}, False),
        ({"input": [{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}]}, False),
        ({"input": None}, False),
        ("text", False),
        (None, False),
    ],
)
def test_only_what_differs_is_worth_keeping(told: Any, nothing: bool) -> None:
    """Nulls, NeMo Gym's defaults, another spelling of the same messages, and our own additions say nothing."""
    assert adds_nothing(told, ASKED) is nothing


def test_a_request_nested_without_end_ends_no_run() -> None:
    """How deep an agent nests is its own choice: too deep is an error of that reply."""
    deep: Any = []
    for _ in range(1000):
        deep = [deep]
    reply = Reply(b"{}", [], "", "stop", None, fields={"responses_create_params": {"input": deep, "tools": deep}})
    with pytest.raises(ReplyError, match="cannot be written as a row"):
        encode_rollout(task(), reply, None, ATTEMPT)
