"""Who decides a parameter: command line > TOML file > row > server. And --resume holds a run to its words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from pairing.cli import main
from tests.model_server import ModelServer


def collect(folder: Path, server: ModelServer, *words: str) -> int:
    """One prompt, two rollouts, through the real command."""
    row = {"prompt": "1+1?", "question": "2+2?", "temperature": 0.1, "top_p": 0.1, "stop": ["row"]}
    (folder / "in.jsonl").write_bytes(orjson.dumps(row) + b"\n")
    (folder / "run.toml").write_text(
        f'input = "{folder}/in.jsonl"\noutput = "{folder}/r.jsonl"\nbase_url = "{server.url}"\nnum_repeats = 2\n'
        "temperature = 0.2\ntop_p = 0.2\n[params]\nuser = 'file'\n"
    )
    return main(["collect", "--config", str(folder / "run.toml"), *words])


def test_command_line_then_file_then_row_then_server(tmp_path: Path) -> None:
    """Each of the four decides what those before it leave open."""
    server = ModelServer()
    with server.serving():
        assert collect(tmp_path, server, "--temperature", "0.3") == 0
    assert len(server.bodies) == 2
    for body in server.bodies:
        given: dict[str, Any] = {name: body.get(name) for name in ("temperature", "top_p", "stop", "user", "min_p")}
        assert given == {"temperature": 0.3, "top_p": 0.2, "stop": ["row"], "user": "file", "min_p": None}


def test_the_ladder_and_the_template_stand_on_the_rows(tmp_path: Path) -> None:
    """What was sent is what the rollouts say was asked: temperature by repeat, the prompt in its final words."""
    server = ModelServer()
    (tmp_path / "t.txt").write_text("Q: {question}")
    with server.serving():
        assert collect(tmp_path, server, "--temperature=0.5,0.9", f"--prompt-template={tmp_path / 't.txt'}") == 0
    rows = [orjson.loads(line) for line in (tmp_path / "r.jsonl").read_bytes().splitlines()]
    asked = [row["responses_create_params"] for row in rows]
    assert [params["temperature"] for params in asked] == [0.5, 0.9]
    assert {params["input"] for params in asked} == {"Q: 2+2?"}
    assert server.prompts == ["Q: 2+2?"] * 2


def test_resume_refuses_a_changed_template_and_shows_where_it_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A long text is cut to the part around its first difference."""
    template = tmp_path / "t.txt"
    template.write_text("A long preamble. " * 50 + "Q: {question}")
    words = [f"--prompt-template={template}"]
    server = ModelServer()
    with server.serving():
        assert collect(tmp_path, server, *words) == 0
        template.write_text("A long preamble. " * 50 + "Question: {question}")
        capsys.readouterr()
        assert collect(tmp_path, server, *words, "--resume") == 1
    message = capsys.readouterr().err
    assert "prompt_template: was ..." in message
    assert 'preamble. Q: {question}"' in message
    assert 'preamble. Question: {question}"' in message
    assert len(message) < 600


def test_repeats_by_agent_give_whole_groups_of_their_own_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows of different agents, one file: 1, 3 and 2 rollouts, sealed as whole groups. An agent that no row names is
    told, in a dry run too: its name may be misspelt."""
    names = ["one", "three", None]
    rows = [{"prompt": f"q{i}", **({"agent_ref": {"name": name}} if name else {})} for i, name in enumerate(names)]
    (tmp_path / "in.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    told = "--num-repeats: no row is for the agent 'thre'"
    server = ModelServer()
    with server.serving():
        words = [
            "collect", f"--input={tmp_path / 'in.jsonl'}", f"--output={tmp_path / 'r.jsonl'}",
            f"--base-url={server.url}", "--num-repeats={one: 1, three: 3, thre: 4, _default: 2}",
        ]  # fmt: skip
        assert main([*words, "--dry-run"]) == 0
        assert told in capsys.readouterr().out
        assert main(words) == 0
        assert capsys.readouterr().err.count(told) == 1
    found = [orjson.loads(line) for line in (tmp_path / "r.jsonl").read_bytes().splitlines()]
    keys = [(row["_ng_task_index"], row["_ng_rollout_index"]) for row in found]
    assert keys == [(0, 0), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1)]
    assert not (tmp_path / "r_incomplete.jsonl").exists()
