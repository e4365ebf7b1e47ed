"""The input: three row forms, aabbcc order, precedence of parameters, and one clear line for each bad row."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import InputError
from collector.prompts import check_rows, read_rows, repeat_rows
from collector.prompts.wording import Wording
from collector.protocols import get_protocol
from collector.records.messages import prompt_messages
from collector.settings import CollectSettings
from collector.templates import Template


def write(path: Path, *rows: Any) -> Path:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return path


def settings(tmp_path: Path, **changes: Any) -> CollectSettings:
    given: dict[str, Any] = {
        "input": tmp_path / "in.jsonl",
        "output": tmp_path / "out.jsonl",
        "base_url": "http://127.0.0.1:1/v1",
        "num_repeats": 3,
    }
    return CollectSettings(**{**given, **changes})


def count_rows(path: Path, limit: int | None = None) -> int:
    """The rows that a run of this input would read, each checked."""
    return check_rows(settings(path.parent, input=path, limit=limit)).rows


def test_three_forms_of_one_prompt_have_one_identity_and_keep_their_fields(tmp_path: Path) -> None:
    """The same question as NeMo Gym row, Chat row and plain prompt is the same prompt, and no field is dropped."""
    message = {"role": "user", "content": "2+2?"}
    path = write(
        tmp_path / "in.jsonl",
        {"responses_create_params": {"input": [message], "temperature": 0.5, "top_p": None}, "uuid": "a"},
        {"responses_create_params": {"input": "2+2?"}, "verifier_metadata": {"expected_answer": "4"}},
        {"messages": [message], "temperature": 0.7, "max_tokens": 9, "answer": 4},
        {"prompt": "2+2?", "answer": 4},
    )
    rows = list(read_rows(path))
    assert len({row.prompt_id for row in rows}) == 1
    assert [row.messages for row in rows] == [[message]] * 4
    assert [row.text for row in rows] == [None, "2+2?", None, "2+2?"]
    assert rows[0].params == {"temperature": 0.5}
    assert rows[2].params == {"temperature": 0.7, "max_output_tokens": 9}
    assert rows[2].fields["answer"] == 4


@given(
    st.lists(
        st.fixed_dictionaries(
            {"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": st.text() | st.none()},
            optional={"type": st.just("message"), "name": st.text(max_size=3), "id": st.text(max_size=3)},
        ),
        min_size=1,
    )
)
def test_the_short_way_to_messages_is_the_long_way(messages: list[dict[str, Any]]) -> None:
    """Rows whose messages need no conversion have the messages, and so the identity, that the conversion gives."""
    with tempfile.TemporaryDirectory() as folder:
        (row,) = read_rows(write(Path(folder) / "in.jsonl", {"messages": messages}))
    assert row.messages == prompt_messages(messages)


def test_rows_repeat_in_aabbcc_order_with_distinct_stable_seeds(tmp_path: Path) -> None:
    """Repeats stand together in input order; their seeds differ, and more repeats leave the first as they were."""
    path = write(tmp_path / "in.jsonl", {"prompt": "a"}, {"prompt": "b"}, {"prompt": "a"})
    few = list(repeat_rows(read_rows(path), settings(tmp_path), sends_seed=True))
    many = list(repeat_rows(read_rows(path), settings(tmp_path, num_repeats=5), sends_seed=True))
    assert [task.key for task in few] == [(row, repeat) for row in range(3) for repeat in range(3)]
    assert len({task.seed for task in many}) == 15, "a prompt that stands twice gives new samples"
    by_key = {task.key: task.seed for task in many}
    assert all(by_key[task.key] == task.seed for task in few)


def test_command_line_wins_over_the_row(tmp_path: Path) -> None:
    """Precedence: command line, then row; `n` and `stream` are the collector's own."""
    path = write(
        tmp_path / "in.jsonl",
        {"responses_create_params": {"input": "a", "temperature": 0.1, "max_tokens": 5, "n": 3, "stream": True}},
    )
    asked = settings(tmp_path, params={"temperature": 0.9})
    task = next(repeat_rows(read_rows(path), asked, sends_seed=False))
    assert task.params == {"temperature": 0.9, "max_output_tokens": 5}
    assert task.seed is None


def test_a_rows_own_seed_is_the_base_of_its_repeats(tmp_path: Path) -> None:
    """A seed in the row changes the repeats' seeds, and they still differ from each other."""
    path = write(tmp_path / "in.jsonl", {"prompt": "a", "seed": 5}, {"prompt": "a"})
    seeds = [task.seed for task in repeat_rows(read_rows(path), settings(tmp_path), sends_seed=True)]
    assert len(set(seeds)) == 6
    again = [task.seed for task in repeat_rows(read_rows(path), settings(tmp_path, seed=1), sends_seed=True)]
    assert again[:3] == seeds[:3]
    assert again[3:] != seeds[3:]


def test_done_tasks_are_left_out(tmp_path: Path) -> None:
    """Resuming skips what the journal holds and keeps the order of the rest."""
    path = write(tmp_path / "in.jsonl", {"prompt": "a"}, {"prompt": "b"})
    left = repeat_rows(read_rows(path), settings(tmp_path), sends_seed=True, skip={(0, 1), (1, 0)}.__contains__)
    assert [task.key for task in left] == [(0, 0), (0, 2), (1, 1), (1, 2)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"not json", "in.jsonl:2: not JSON"),
        (b"[1]", "in.jsonl:2: a JSON list: a row is an object"),
        (b'{"question": "?"}', "in.jsonl:2: no prompt: a row carries one of"),
        (b'{"prompt": "  "}', "in.jsonl:2: prompt is empty"),
        (b'{"prompt": 7}', "in.jsonl:2: prompt is a number"),
        (b'{"messages": "hello"}', "in.jsonl:2: messages is a string"),
        (b'{"messages": []}', "in.jsonl:2: messages is empty"),
        (b'{"messages": ["hello"]}', r"in.jsonl:2: messages\[0\] is a string"),
        (b'{"messages": [{"role": "robot", "content": "x"}]}', r"messages\[0\] has role 'robot'"),
        (b'{"messages": [{"role": "user"}]}', r"messages\[0\] has no content"),
        (b'{"responses_create_params": {}}', "holds no `input`"),
        (b'{"responses_create_params": {"input": null}}', "responses_create_params.input is a null"),
        (b'{"prompt": "\xff"}', "in.jsonl:2: not JSON"),
    ],
)
def test_a_bad_row_is_one_clear_line(tmp_path: Path, row: bytes, message: str) -> None:
    """The message names file, line and fault."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"prompt": "fine"}\n' + row + b"\n")
    with pytest.raises(InputError, match=message):
        list(read_rows(path))


def test_odd_but_readable_files_are_read(tmp_path: Path) -> None:
    """A byte order mark, CRLF, blank lines, a missing last newline and U+2028 inside a string are no faults."""
    path = tmp_path / "in.jsonl"
    path.write_bytes('\ufeff{"prompt": "a"}\r\n\r\n  \n{"prompt": "b\u2028c"}'.encode())
    rows = list(read_rows(path))
    assert [row.text for row in rows] == ["a", "b\u2028c"]
    assert [row.task_index for row in rows] == [0, 1]
    assert [row.line for row in rows] == [1, 4]


def test_no_file_a_folder_a_pipe_and_no_rows(tmp_path: Path) -> None:
    """Each is one clear line; a pipe is refused because the input is read twice."""
    with pytest.raises(InputError, match="no such file"):
        count_rows(tmp_path / "missing.jsonl")
    with pytest.raises(InputError, match="is a folder"):
        count_rows(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="no regular file"):
        count_rows(tmp_path / "pipe")
    with pytest.raises(InputError, match="no rows"):
        count_rows(write(tmp_path / "empty.jsonl"))


def test_limit_reads_no_further(tmp_path: Path) -> None:
    """A bad row behind the limit is not looked at."""
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"prompt": "a"}\n{"prompt": "b"}\nbroken\n')
    assert count_rows(path, 2) == 2
    with pytest.raises(InputError, match=":3:"):
        count_rows(path, 3)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b'{"prompt": "a", "x": ' + b"[" * 300 + b"]" * 300 + b"}", "nested more than 242 levels deep"),
        (b'{"messages": [{"role": "user", "content": ' + b"[" * 300 + b"]" * 300 + b"}]}", "nested more than"),
        (b'{"prompt": "a", "seed": "abc"}', "seed is 'abc': give a whole number"),
        (b'{"prompt": "a", "seed": [1]}', r"seed is \[1\]: give a whole number"),
        (b'{"messages": [{"role": ["user"], "content": "x"}]}', r"has role \['user'\]: give one of"),
        (b'{"messages": [{"role": "assistant", "tool_calls": 5}]}', "tool_calls of another shape"),
        (b'{"messages": [{"role": "assistant", "tool_calls": [5]}]}', "tool_calls of another shape"),
        (b'{"messages": [{"role": "assistant", "tool_calls": [{"function": 7}]}]}', "tool_calls of another shape"),
    ],
)
def test_a_row_that_could_not_be_sent_or_written_is_refused_before_the_first_request(
    tmp_path: Path, row: bytes, message: str
) -> None:
    """What would raise in the middle of the run is one line with file and line number at its start."""
    (tmp_path / "in.jsonl").write_bytes(b'{"prompt": "good"}\n' + row + b"\n")
    with pytest.raises(InputError, match=f"in.jsonl:2.*{message}"):
        count_rows(tmp_path / "in.jsonl")


def test_many_brackets_that_are_not_deep_are_fine(tmp_path: Path) -> None:
    """Only depth is refused, not width: a prompt may hold a large table."""
    path = write(tmp_path / "in.jsonl", {"prompt": "[" * 1000, "table": [[i] for i in range(1000)]})
    assert count_rows(path) == 1


def test_an_agent_may_make_the_prompt_itself(tmp_path: Path) -> None:
    """NeMo Gym's rows with an empty `input`: the row's own content tells its prompts apart, sampling does not."""
    source = {"responses_create_params": {"input": [], "temperature": 0.5}, "problem_id": "4"}
    again = {"_ng_task_index": 7, "agent_ref": {"name": "b"}, **source, "responses_create_params": {"input": []}}
    path = write(tmp_path / "in.jsonl", source, again, {**source, "problem_id": "5"})
    for wording in (None, Wording(None, Template.parse("Be brief.", "--system-prompt"))):
        first, second, third = read_rows(path, wording=wording, agents_prompt=True)
        assert first.prompt_id == second.prompt_id != third.prompt_id
        assert first.input == ([] if wording is None else [{"role": "system", "content": "Be brief."}])
    asked = settings(tmp_path, protocol="agent")
    body = orjson.loads(get_protocol("agent").build(next(repeat_rows([first], asked, sends_seed=False)), asked))
    assert (body["problem_id"], body["responses_create_params"]["temperature"]) == ("4", 0.5)
    with pytest.raises(InputError, match=r"in.jsonl:1: .*input is empty: only an agent .*--protocol agent"):
        count_rows(path)
