"""Every text, call, argument and result of Responses items is found again in the messages: generated items, real ones.

The facts are told apart by a reader of its own for each form; nothing of the conversion is used to judge it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.records.messages import messages_from_items, prompt_messages
from tests.collector.test_messages import ROLLOUTS, real_item_lists

Facts = dict[str, list[Any]]
TEXTS = {"text", "input_text", "output_text"}
CALLS = {"function_call": "arguments", "custom_tool_call": "input"}


def facts_of_items(items: list[Any]) -> Facts:
    """What Responses items and Chat messages say, by kind, each kind in order."""
    facts: Facts = defaultdict(list)
    for item in flat(items):
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "reasoning":
            parts = [*item.get("summary", ()), *(item.get("content") or ())]
            facts["reasoning"] += [text for text in dict.fromkeys(part["text"] for part in parts) if text]
            facts["encrypted"] += [text for text in [item.get("encrypted_content")] if text]
        elif kind in CALLS:
            facts["calls"].append((item["call_id"], item["name"], as_text(item[CALLS[kind]])))
        elif isinstance(kind, str) and kind.endswith("_call_output"):
            add_content(facts, "tool", result_of(item["output"]))
            facts["results"].append(item["call_id"])
        elif isinstance(item, dict) and "role" in item:
            add_content(facts, item["role"], item["content"])
            facts["calls"] += [call_fact(call) for call in item.get("tool_calls", ())]
        else:
            facts["items"].append(item)
    return joined(facts)


def facts_of_messages(messages: list[Any]) -> Facts:
    """What the messages say, by kind, each kind in order."""
    facts: Facts = defaultdict(list)
    for message in messages:
        facts["reasoning"] += [message["reasoning_content"]] if "reasoning_content" in message else []
        facts["encrypted"] += message.get("encrypted_reasoning", [])
        add_content(facts, message["role"], message["content"])
        facts["refusals"] += [message["refusal"]] if "refusal" in message else []
        facts["calls"] += [call_fact(call) for call in message.get("tool_calls", ())]
        facts["items"] += message.get("items", [])
        facts["results"] += [message["tool_call_id"]] if message["role"] == "tool" else []
    return joined(facts)


def add_content(facts: Facts, role: str, content: Any) -> None:
    """The texts of one message as one, with its role; refusals, images and other parts apart."""
    parts: list[Any] = [{"type": "text", "text": content}] if isinstance(content, str) else content
    text = "".join(part["text"] for part in parts if part["type"] in TEXTS)
    facts["texts"] += [(role, text)] if text else []
    refusal = "".join(part["refusal"] for part in parts if part["type"] == "refusal")
    facts["refusals"] += [refusal] if refusal else []
    for part in parts:
        if part["type"] == "input_image":
            facts["images"].append((part["image_url"], part.get("detail")))
        elif part["type"] == "image_url":
            facts["images"].append((part["image_url"]["url"], part["image_url"].get("detail")))
        elif part["type"] not in TEXTS | {"refusal"}:
            facts["parts"].append(part)


def joined(facts: Facts) -> Facts:
    """Neighbouring reasoning is one text in a message, so all of it is compared as one."""
    told = {kind: found for kind, found in facts.items() if found}
    return told | ({"reasoning": ["\n\n".join(told["reasoning"])]} if "reasoning" in told else {})


def call_fact(call: Any) -> tuple[Any, ...]:
    body = call.get("function") or call["custom"]
    return call["id"], body["name"], body["arguments"] if "arguments" in body else as_text(body["input"])


def result_of(output: Any) -> Any:
    parts = isinstance(output, list) and all(isinstance(part, dict) and "type" in part for part in output)
    return output if parts else as_text(output)


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def flat(items: list[Any]) -> Iterator[Any]:
    for item in items:
        yield from flat(item) if isinstance(item, list) else (item,)


words = st.text(max_size=8)
ids = st.sampled_from(["c1", "c2", "c3"])


def content_parts(kinds: tuple[str, ...]) -> st.SearchStrategy[list[Any]]:
    text = st.builds(lambda kind, text: {"type": kind, "text": text}, st.sampled_from(kinds), words)
    image = st.builds(lambda url: {"type": "input_image", "image_url": url, "detail": "low"}, words)
    refusal = st.builds(lambda text: {"type": "refusal", "refusal": text}, words)
    odd = st.builds(lambda size: {"type": "hologram", "size": size}, st.integers(0, 9))
    return st.lists(st.one_of(text, text, image, refusal, odd), max_size=4)


message = st.builds(
    lambda role, content: {"type": "message", "id": "m", "status": "completed", "role": role, "content": content},
    st.sampled_from(["assistant", "assistant", "user", "developer"]),
    words | content_parts(("output_text", "input_text", "text")),
)
thoughts = st.lists(words.map(lambda text: {"type": "summary_text", "text": text}), max_size=3)
reasoning = st.builds(
    lambda summary, content, sealed: {
        "type": "reasoning",
        "id": "rs",
        "summary": summary,
        "content": content,
        "encrypted_content": sealed,
    },
    thoughts,
    st.none() | thoughts,
    st.none() | words,
)
call = st.builds(
    lambda kind, own, name, said: {"type": kind, "id": "fc", "call_id": own, "name": name, CALLS[kind]: said},
    st.sampled_from(sorted(CALLS)),
    ids,
    words,
    words | st.dictionaries(words, st.integers(0, 9), max_size=2),
)
result = st.builds(
    lambda kind, own, output: {"type": f"{kind}_output", "call_id": own, "output": output},
    st.sampled_from(["function_call", "custom_tool_call", "computer_call"]),
    ids,
    words | content_parts(("input_text",)) | st.dictionaries(words, words, min_size=1, max_size=2),
)
unknown = st.builds(lambda own, query: {"type": "web_search_call", "id": own, "query": query}, ids, words)
chat = st.builds(
    lambda own, text: {
        "role": "assistant",
        "content": text,
        "tool_calls": [{"id": own, "type": "function", "function": {"name": "f", "arguments": text}}],
    },
    ids,
    words,
)
items = st.one_of(message, reasoning, call, result, unknown, chat)
outputs = st.lists(items | st.lists(items | st.lists(items, max_size=2), max_size=3), max_size=8)


@given(outputs)
def test_generated_outputs_lose_nothing(output: list[Any]) -> None:
    """Texts with their roles, refusals, calls with id and arguments, results, reasoning open and encrypted, images,
    unknown parts and items: the same, in the same order."""
    assert facts_of_messages(messages_from_items(output)) == facts_of_items(output)


@pytest.mark.skipif(not ROLLOUTS.is_dir(), reason="NeMo Gym's committed rollouts are not here")
def test_real_rollouts_lose_nothing() -> None:
    """Every prompt and output of every file that NeMo Gym committed."""
    seen: dict[str, int] = defaultdict(int)
    for where, items in real_item_lists():
        told = facts_of_items(items)
        assert facts_of_messages(messages_from_items(items)) == told, where
        for kind, found in told.items():
            seen[kind] += len(found)
    assert len(list(ROLLOUTS.glob("*.jsonl"))) >= 35
    assert seen.keys() >= {"texts", "calls", "results", "reasoning", "images"}
    assert seen["texts"] > 500


def test_encrypted_reasoning_stays_with_its_message() -> None:
    """Only the server that wrote it can read it: kept in answers, and no part of what a prompt asks."""
    sealed = {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"}
    said = {"role": "assistant", "content": "42"}
    assert messages_from_items([sealed, said]) == [{**said, "encrypted_reasoning": ["gAAA"]}]
    assert messages_from_items([sealed]) == [{"role": "assistant", "content": "", "encrypted_reasoning": ["gAAA"]}]
    assert prompt_messages([sealed, said]) == [said]


def test_a_result_under_another_name_is_kept() -> None:
    """Kinds of tools that we do not know say their result as they like."""
    odd = {"type": "shell_call_output", "id": "o", "call_id": "c", "status": "completed", "stdout": "a"}
    assert messages_from_items([odd]) == [{"role": "tool", "tool_call_id": "c", "content": '{"stdout":"a"}'}]
    bare = {"type": "shell_call_output", "call_id": "c"}
    assert messages_from_items([bare]) == [{"role": "tool", "tool_call_id": "c", "content": ""}]


def test_two_reasonings_of_one_message_both_stay() -> None:
    """`reasoning` beside another `reasoning_content` says something else."""
    both = {"role": "assistant", "content": "x", "reasoning_content": "a", "reasoning": "b"}
    assert messages_from_items([both]) == [both]
