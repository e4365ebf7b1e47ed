"""One limit of an answer's length under three names: which of those given counts, and under which name it is sent.

And parameters that the extra body overrules.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from collector.cli import add_parsers
from collector.options import Parser, settings_from
from collector.prompts import repeat_rows, rows_of
from collector.protocols import get_protocol
from collector.settings import CollectSettings


def sent(folder: Path, row: dict[str, Any], *words: str, protocol: str = "chat") -> dict[str, Any]:
    """The limits in the body of the first request for `row`, under `words` of the command line."""
    (folder / "in.jsonl").write_bytes(orjson.dumps({"prompt": "a", **row}) + b"\n")
    parser = Parser(prog="pairmill")
    add_parsers(parser.add_subparsers(required=True))
    args = parser.parse_args(["collect", f"--input={folder / 'in.jsonl'}", "--output=r.jsonl", *words])
    settings = settings_from(args, base_url="http://h/v1", output=args.output)
    task = next(repeat_rows(rows_of(settings), settings, sends_seed=False))
    body = orjson.loads(get_protocol(protocol).build(task, settings))
    return {name: value for name, value in body.items() if name.startswith("max_")}


@pytest.mark.parametrize(
    ("protocol", "name"),
    [("chat", "max_completion_tokens"), ("completions", "max_tokens"), ("responses", "max_output_tokens")],
)
def test_a_server_that_takes_the_newest_name_alone_gets_it(tmp_path: Path, protocol: str, name: str) -> None:
    """`max_completion_tokens`, of a row or of the command line, keeps its name in Chat; others have their own."""
    asked = {"max_completion_tokens": 77}
    assert sent(tmp_path, asked, protocol=protocol) == {name: 77}
    assert sent(tmp_path, {}, "--param=max_completion_tokens=77", protocol=protocol) == {name: 77}


@pytest.mark.parametrize("row", [{}, {"max_tokens": 9}, {"max_output_tokens": 9}, {"max_completion_tokens": 9}])
@pytest.mark.parametrize("name", ["max_tokens", "max_output_tokens", "max_completion_tokens"])
def test_the_command_line_wins_over_the_row_whichever_names_they_use(
    tmp_path: Path, row: dict[str, Any], name: str
) -> None:
    """One limit goes out, the command line's."""
    expected = "max_completion_tokens" if name == "max_completion_tokens" else "max_tokens"
    assert sent(tmp_path, row, f"--param={name}=5") == {expected: 5}
    assert sent(tmp_path, row, "--max-tokens=6", f"--param={name}=5") == {"max_tokens": 6}


def test_a_rollout_tells_what_the_extra_body_put_in_the_place_of_a_parameter(tmp_path: Path) -> None:
    """The extra body wins in the request; what was asked, by the rollout's word, is what was sent."""
    asked = CollectSettings(
        input=tmp_path / "in.jsonl", output=tmp_path / "r.jsonl", base_url="http://h/v1",
        params={"temperature": 0.8, "max_output_tokens": 5}, extra_body={"temperature": 1.5, "max_tokens": 9, "x": 1},
    )  # fmt: skip
    asked.input.write_bytes(b'{"prompt": "a"}\n')
    task = next(repeat_rows(rows_of(asked), asked, sends_seed=False))
    body = orjson.loads(get_protocol("chat").build(task, asked))
    assert (body["temperature"], body["max_tokens"], body["x"]) == (1.5, 9, 1)
    assert task.params == {"temperature": 1.5, "max_tokens": 9}


def test_of_several_the_last_one_counts(tmp_path: Path) -> None:
    """What stands in a TOML file comes first, so that the command line's is the last."""
    words = ["--param=max_tokens=5", "--param=max_output_tokens=7"]
    assert sent(tmp_path, {}, *words) == {"max_tokens": 7}
    assert sent(tmp_path, {}, *reversed(words)) == {"max_tokens": 5}
