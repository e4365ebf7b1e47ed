"""Input as the world gives it, through the real command: read as it is, or refused in one line before any request."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.faults.commands import Commands
from tests.faults.runs import collect_words, rows_in
from tests.model_server import ModelServer


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    server = ModelServer()
    with server.serving():
        yield server


_ONE, _TWO = b'{"prompt":"one","id":1}', b'{"prompt":"two","id":2}'


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + _ONE + b"\n" + _TWO + b"\n",
        _ONE + b"\r\n" + _TWO + b"\r\n",
        b"\n\n" + _ONE + b"\n  \n\r\n" + _TWO + b"\n\n",
        _ONE + b"\n" + _TWO,
        b"  " + _ONE + b"  \n\t" + _TWO + b"\n",
    ],
    ids=["byte order mark", "CRLF", "blank lines", "no final newline", "white space"],
)
def test_files_of_other_systems_are_read_over(
    tmp_path: Path, pairmill: Commands, server: ModelServer, content: bytes
) -> None:
    """Two rows in, two groups out, the rows' fields as they were."""
    (tmp_path / "in.jsonl").write_bytes(content)
    done = pairmill.run(*collect_words(tmp_path / "in.jsonl", tmp_path / "r.jsonl", server.url))
    assert done.code == 0, done.err
    rows = rows_in(tmp_path / "r.jsonl")
    assert [(row["prompt"], row["id"]) for row in rows] == [("one", 1), ("one", 1), ("two", 2), ("two", 2)]


@pytest.mark.parametrize(
    "text",
    [
        "a\u2028b\u2029c\u0085d",
        "x" * 10_000_000,
        "\U0001f600 \u202e \x7f",
        "\x1b[31m\x00\x07",
        "../../../etc/passwd",
    ],
    ids=["U+2028", "10 MB", "astral and overrides", "controls", "a path"],
)
def test_text_that_trips_others_comes_through_unchanged(
    tmp_path: Path, pairmill: Commands, server: ModelServer, text: str
) -> None:
    """The server is asked exactly that, and each rollout carries it, on one line."""
    (tmp_path / "in.jsonl").write_bytes(orjson.dumps({"prompt": text}) + b"\n")
    done = pairmill.run(*collect_words(tmp_path / "in.jsonl", tmp_path / "r.jsonl", server.url))
    assert done.code == 0, done.err
    assert server.prompts[-1] == text
    rows = rows_in(tmp_path / "r.jsonl")
    assert [row["prompt"] for row in rows] == [text, text]
    assert all(row["output"][0]["content"].startswith(f"<{text}> ") for row in rows)


def test_rows_that_come_twice_are_rows_of_their_own(tmp_path: Path, pairmill: Commands, server: ModelServer) -> None:
    """The same row, and the same id on different rows: a group for each line, told apart by its index and its seeds."""
    lines = [_ONE, _ONE, b'{"prompt":"two","id":1}', _ONE]
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    words = collect_words(tmp_path / "in.jsonl", tmp_path / "r.jsonl", server.url)
    assert pairmill.run(*words).code == 0
    rows = rows_in(tmp_path / "r.jsonl")
    assert [row["_ng_task_index"] for row in rows] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [row["prompt"] for row in rows] == ["one"] * 4 + ["two"] * 2 + ["one"] * 2
    assert len({row["seed"] for row in rows}) == 8
    assert "all of them there before" in pairmill.run(*words, "--resume").out


_DEEP = b'{"prompt":"x","deep":' + b"[" * 10_000 + b"]" * 10_000 + b"}"


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (_ONE + b'\n{"prompt":"\xff\xfe"}\n', [":2:", "UTF-8"]),
        (_ONE + b'\n\n{"prompt":"\\ud800"}\n', [":3:", "surrogate"]),
        (_ONE + b"\n" + _DEEP + b"\n", [":2:", "depth limit"]),
        (_ONE + b'\n{"prompt":"x","deep":' + b"[" * 300 + b"]" * 300 + b"}\n", [":2:", "levels deep"]),
        (_ONE + b"\n" + _TWO[:-5], [":2:", "not JSON"]),
        (_ONE + _TWO + b"\n", [":1:", "not JSON"]),
        (_ONE + b'\n{"prompt":"x","n":NaN}\n', [":2:", "not JSON"]),
        (_ONE + b'\n{"prompt":"x\x00"}\n', [":2:", "not JSON"]),
        (_ONE + b"\n[1]\n", [":2:", "a JSON list"]),
        (_ONE + b'\n{"prompt":""}\n', [":2:", "is empty"]),
        (b"", ["no rows"]),
        (b"\xef\xbb\xbf", ["no rows"]),
        (b"\n\n \n", ["no rows"]),
        ("\ufeff".encode("utf-16-le") + '{"prompt":"x"}\n'.encode("utf-16-le"), [":1:", "not JSON"]),
    ],
    ids=[
        "invalid UTF-8", "lone surrogate", "10,000 levels", "300 levels", "torn", "two on one line", "NaN", "NUL",
        "a list", "empty prompt", "empty file", "only a mark", "only blank lines", "UTF-16",
    ],
)  # fmt: skip
def test_what_is_no_row_is_refused_with_file_and_line(
    tmp_path: Path, pairmill: Commands, server: ModelServer, content: bytes, wanted: list[str]
) -> None:
    """One line, nothing written, and no rollout asked for: though the bad row is the last one."""
    (tmp_path / "in.jsonl").write_bytes(content)
    asked = server.requests
    done = pairmill.run(*collect_words(tmp_path / "in.jsonl", tmp_path / "out" / "r.jsonl", server.url))
    message = done.one_line()
    assert f"{tmp_path / 'in.jsonl'}" in message
    for words in wanted:
        assert words in message
    assert server.requests == asked
    assert not (tmp_path / "out").exists()


def test_what_is_no_file_is_refused(tmp_path: Path, pairmill: Commands, server: ModelServer) -> None:
    """A folder, a FIFO that nobody writes to, a device, and nothing at all: one line each, and no wait."""
    os.mkfifo(tmp_path / "pipe")
    for source, problem in (
        (tmp_path, "is a folder"),
        (tmp_path / "pipe", "is no regular file"),
        (Path("/dev/zero"), "is no regular file"),
        (tmp_path / "missing.jsonl", "no such file"),
    ):
        done = pairmill.run(*collect_words(source, tmp_path / "out" / "r.jsonl", server.url))
        assert f"{source}" in done.one_line()
        assert problem in done.one_line()
    assert not (tmp_path / "out").exists()


def test_an_input_that_changes_between_runs_is_refused(tmp_path: Path, pairmill: Commands, server: ModelServer) -> None:
    """--resume compares the input by content: one byte more, and the difference is named; nothing changes on disk."""
    output = tmp_path / "out" / "r.jsonl"
    (tmp_path / "in.jsonl").write_bytes(_ONE + b"\n")
    words = collect_words(tmp_path / "in.jsonl", output, server.url)
    assert pairmill.run(*words).code == 0
    before = {path: path.read_bytes() for path in output.parent.iterdir()}
    (tmp_path / "in.jsonl").write_bytes(_ONE + b"\n\n")
    assert "input sha256: was" in pairmill.run(*words, "--resume").one_line()
    assert {path: path.read_bytes() for path in output.parent.iterdir()} == before
