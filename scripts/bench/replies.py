"""The canned chat reply: 2 KB, its text new each time, right and wrong in turn."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["ANSWER", "reply_body"]

ANSWER = "The answer is 42."
"""What the prompts expect: every other reply holds it."""

_WRONG = "The answer is 41."
_SIZE = 2_048
_PARAGRAPH = (
    "First, note that each of the two terms is even, so their sum is even as well.\n"
    'Then look at "the remainder": it falls by six with each step, and after seven steps nothing is left. '
)
_NUMBER = "%012d"


def _template(answer: str) -> bytes:
    """A reply of `_SIZE` bytes, with two places for its number."""

    def reply(text: str) -> bytes:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": text,
            "refusal": None,
            "tool_calls": [],
            "reasoning_content": None,
        }
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop", "stop_reason": None}
        usage = {"prompt_tokens": 212, "total_tokens": 596, "completion_tokens": 384, "prompt_tokens_details": None}
        head = {"id": f"chatcmpl-{_NUMBER}", "object": "chat.completion", "created": 1_750_000_000, "model": "replay"}
        data = {**head, "choices": [choice], "usage": usage, "prompt_logprobs": None, "kv_transfer_params": None}
        return json.dumps(data, separators=(",", ":")).encode()

    def room(text: str) -> int:
        return _SIZE - len(reply(text + answer) % (0, 0))

    text = f"Attempt {_NUMBER}. "
    while room(text + _PARAGRAPH) >= 0:
        text += _PARAGRAPH
    return reply(text + "." * room(text) + answer)


_TEMPLATES = [_template(ANSWER), _template(_WRONG)]


def reply_body(number: int) -> bytes:
    """The reply to request `number`: no two have the same text."""
    return _TEMPLATES[number & 1] % (number, number)
