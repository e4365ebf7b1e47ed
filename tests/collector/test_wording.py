"""What a run makes of its rows' prompts: a template, a system prompt, repeats by agent, a ladder of temperatures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from collector.errors import InputError
from collector.prompts import check_rows, repeat_rows, rows_of
from collector.protocols import get_protocol
from collector.records.rows import Task
from tests.collector.test_prompts import settings, write

SYSTEM = {"role": "system", "content": "Be brief."}


def worded(tmp_path: Path, row: Any, **changes: Any) -> Task:
    write(tmp_path / "in.jsonl", row)
    asked = settings(tmp_path, **changes)
    return next(repeat_rows(rows_of(asked), asked, sends_seed=True))


def sent(tmp_path: Path, protocol: str, row: Any, **changes: Any) -> Any:
    """The prompt in the body that the protocol would send."""
    task = worded(tmp_path, row, **changes)
    body = orjson.loads(get_protocol(protocol).build(task, settings(tmp_path, **changes)))
    if protocol == "agent":
        return body["responses_create_params"]["input"]
    return body[{"chat": "messages", "responses": "input", "completions": "prompt"}[protocol]]


@pytest.mark.parametrize("protocol", ["chat", "responses", "agent"])
def test_a_template_and_a_system_prompt_reach_the_request(tmp_path: Path, protocol: str) -> None:
    """A row without a prompt of its own is asked in the template's words, behind the system prompt."""
    row = {"question": "1+1?", "subject": "sums"}
    asked = sent(tmp_path, protocol, row, prompt_template="Q: {question}", system_prompt="You do {subject}.")
    assert asked == [{"role": "system", "content": "You do sums."}, {"role": "user", "content": "Q: 1+1?"}]


@pytest.mark.parametrize(
    ("row", "template", "text"),
    [
        ({"question": "1+1?"}, "Q: {question}\nA:", "Be brief.\n\nQ: 1+1?\nA:"),
        ({"prompt": "1+1?"}, None, "Be brief.\n\n1+1?"),
        ({"messages": [{"role": "user", "content": "1+1?"}]}, None, "Be brief.\n\n1+1?"),
    ],
)
def test_completions_get_one_plain_text(tmp_path: Path, row: Any, template: str | None, text: str) -> None:
    """The system prompt, a blank line, the prompt: a base model knows no roles."""
    assert sent(tmp_path, "completions", row, prompt_template=template, system_prompt="Be brief.") == text


def test_a_template_alone_makes_a_plain_prompt(tmp_path: Path) -> None:
    """Just as if the row had carried it: the same identity as the prompt written out."""
    task = worded(tmp_path, {"question": "1+1?"}, prompt_template="Q: {question}")
    same = worded(tmp_path, {"prompt": "Q: 1+1?"})
    assert (task.row.input, task.row.text) == ("Q: 1+1?", "Q: 1+1?")
    assert task.row.prompt_id == same.row.prompt_id != worded(tmp_path, {"prompt": "1+1?"}).row.prompt_id


def test_prompt_stands_for_the_rows_last_user_message_and_the_rest_stays(tmp_path: Path) -> None:
    """{prompt} in a template keeps the turns around it; a template without it makes the whole prompt."""
    turns = [
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "hi"},
        {"role": "user", "content": [{"type": "text", "text": "1+1?"}]},
    ]
    task = worded(tmp_path, {"messages": turns}, prompt_template="<{prompt}>")
    assert task.row.messages == [*turns[:2], {"role": "user", "content": "<1+1?>"}]
    task = worded(tmp_path, {"messages": turns, "q": "2+2?"}, prompt_template="<{q}>")
    assert task.row.messages == [{"role": "user", "content": "<2+2?>"}]


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [{"role": "system", "content": "old"}, {"role": "user", "content": "1+1?"}]},
        {"messages": [{"role": "developer", "content": "old"}, {"role": "user", "content": "1+1?"}]},
        {"responses_create_params": {"input": "1+1?", "instructions": "old"}},
        {"prompt": "1+1?"},
    ],
)
def test_a_system_prompt_takes_the_place_of_the_rows_own(tmp_path: Path, row: Any) -> None:
    """Two system messages are refused by many chat templates; the command line wins, as for parameters."""
    for protocol in ("chat", "responses"):
        asked = sent(tmp_path, protocol, row, system_prompt="Be brief.")
        assert asked == [SYSTEM, {"role": "user", "content": "1+1?"}]
    task = worded(tmp_path, row, system_prompt="Be brief.")
    assert "instructions" not in task.params
    assert task.row.messages[0] == SYSTEM


def test_a_templates_row_keeps_its_parameters(tmp_path: Path) -> None:
    """NeMo Gym's rows may hold `responses_create_params` without an `input` then."""
    row = {"responses_create_params": {"temperature": 0.3, "max_tokens": 5}, "question": "1+1?"}
    assert worded(tmp_path, row, prompt_template="{question}").params == {"temperature": 0.3, "max_output_tokens": 5}


@pytest.mark.parametrize(
    ("row", "template", "message"),
    [
        ({"answer": 1}, "{question}", "the template wants the field 'question', and the row has none"),
        ({"question": " "}, "{question}", "makes an empty prompt"),
        ({"question": "?"}, "{prompt}", "no prompt: a row carries one of"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, "{prompt}", "the row has no user message"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "{prompt}",
            "holds more than text",
        ),
        ({"responses_create_params": 5, "question": "?"}, "{question}", "responses_create_params is a number"),
    ],
)
def test_a_row_that_does_not_fit_its_template_is_one_clear_line(
    tmp_path: Path, row: Any, template: str, message: str
) -> None:
    """Named with file and line, before the first request."""
    write(tmp_path / "in.jsonl", {"prompt": "fine", "question": "fine"}, row)
    with pytest.raises(InputError, match=f"in.jsonl:2: .*{message}"):
        check_rows(settings(tmp_path, prompt_template=template))


def test_each_repeat_has_the_temperature_of_its_rung(tmp_path: Path) -> None:
    """Counted round; it wins over the row's and the flags', and shows on the task that was sent."""
    write(tmp_path / "in.jsonl", {"prompt": "a", "temperature": 0.1, "top_p": 0.9}, {"prompt": "b"})
    asked = settings(tmp_path, num_repeats=3, temperatures=(0.6, 1.0), params={"temperature": 0.2})
    tasks = list(repeat_rows(rows_of(asked), asked, sends_seed=True))
    assert [task.params["temperature"] for task in tasks] == [0.6, 1.0, 0.6] * 2
    assert tasks[0].params == {"temperature": 0.6, "top_p": 0.9}
    assert len({task.seed for task in tasks}) == 6


def test_each_row_is_repeated_as_its_agent_says(tmp_path: Path) -> None:
    """The row's own agent, else the run's, else _default; the counts are those of the tasks."""
    rows = [{"prompt": "a", "agent_ref": {"name": "one"}}, {"prompt": "b"}, {"prompt": "c", "agent_ref": {"name": "x"}}]
    write(tmp_path / "in.jsonl", *rows)
    asked = settings(tmp_path, num_repeats=5, repeats_by_agent={"one": 1, "mine": 3, "_default": 5}, agent_name="mine")
    inventory = check_rows(asked)
    tasks = list(repeat_rows(rows_of(asked), asked, sends_seed=False))
    assert inventory.tasks == len(tasks) == 9
    assert inventory.repeats_of is not None
    assert [inventory.repeats_of(index) for index in range(3)] == [1, 3, 5]
    assert [task.key for task in tasks] == [(0, 0), *((1, n) for n in range(3)), *((2, n) for n in range(5))]


def test_an_agent_without_a_number_is_named(tmp_path: Path) -> None:
    """As NeMo Gym has it: every agent needs an entry, or there is a _default."""
    write(tmp_path / "in.jsonl", {"prompt": "a", "agent_ref": {"name": "one"}}, {"prompt": "b"})
    asked = settings(tmp_path, num_repeats=1, repeats_by_agent={"one": 1})
    with pytest.raises(InputError, match=r"in.jsonl:2: --num-repeats has no number for rows that name no agent"):
        check_rows(asked)
    with pytest.raises(
        InputError, match=r"in.jsonl:1: --num-repeats has no number for the agent 'one', and no _default"
    ):
        check_rows(settings(tmp_path, num_repeats=1, repeats_by_agent={"two": 1}))
