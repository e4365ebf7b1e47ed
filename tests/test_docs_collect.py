"""docs/collect.md says what is true: every flag stands in it with its default, its examples run as they are shown."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from collector.cli import add_parsers
from collector.client.faults import RETRIED
from collector.options import Parser, settings_from
from collector.templates import Template
from pairing.cli import main, parse

PAGE = (Path(__file__).parent.parent / "docs" / "collect.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(--[a-z-]+)[^`]*` \| (.*?) \|", PAGE, re.MULTILINE))


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def commands() -> list[str]:
    return [line[2:] for block in blocks("console") for line in block.split("\n") if line.startswith("$ ")]


def actions() -> dict[str, argparse.Action]:
    parser = Parser(prog="pairmill")
    add_parsers(parser.add_subparsers(required=True))
    collect = parser.parse_args(["collect", "--input=i", "--output=o"]).parser
    return {action.option_strings[0]: action for action in collect._actions if action.dest != "help"}


def test_every_flag_has_its_line_and_its_default() -> None:
    """None is missing, none is there that the command does not know, and the defaults are the real ones."""
    flags = actions()
    assert set(ROWS) == set(flags)
    for flag, action in flags.items():
        if isinstance(action.default, int | float) and not isinstance(action.default, bool):
            assert ROWS[flag] == f"{action.default:g}", flag
        elif isinstance(action.default, str):
            assert ROWS[flag] == f"`{action.default}`", flag


@pytest.mark.parametrize("command", commands())
def test_each_command_parses(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the page's own TOML file as run.toml; that file says what the page says of it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MY_API_KEY", "canary")
    monkeypatch.setenv("MY_TEAM_TOKEN", "canary")
    (tmp_path / "run.toml").write_text(blocks("toml")[0])
    args = parse(shlex.split(command)[1:])
    settings = settings_from(args, base_url=args.base_url[0], output=args.output)
    if "--config" in command:
        assert settings.limit == 10
        assert settings.params["temperature"] == 0.7
        assert len(settings.base_urls) == 2
        assert settings.params["stop"] == ["\n\n"]
        assert settings.extra_body == {"chat_template_kwargs": {"enable_thinking": False}}


def test_the_dry_run_prints_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Line by line, for the README's first prompt."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MY_API_KEY", "canary")
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "What is 17 * 3?", "expected_answer": "51"}\n')
    (block,) = [block for block in blocks("console") if "\ndry run:" in block]
    command, _, shown = block.partition("\n")
    assert main(shlex.split(command)[2:]) == 0
    assert capsys.readouterr().out == shown


def test_the_pages_templates_are_templates(tmp_path: Path) -> None:
    """The text fills from a row; the YAML is taken by the flag."""
    row = {"subject": "sums", "question": "1+1?", "choices": ["2", "3"]}
    assert Template.parse(blocks("text")[0], "t").fill(row, "r").endswith('{"answer": "A"} or {"answer": "B"}.\n')
    (tmp_path / "t.yaml").write_text(blocks("yaml")[0])
    args = parse(["collect", "--input=i", "--output=o", f"--prompt-template={tmp_path / 't.yaml'}"])
    settings = settings_from(args, base_url="http://h", output=args.output)
    assert (settings.prompt_template, settings.system_prompt) == (
        "{question}",
        "You are a careful teacher of {subject}.",
    )


def test_the_statuses_that_are_tried_again_are_those_named() -> None:
    """The sentence on the page and the set in the code are one."""
    sentence = re.search(r"the statuses ([^.]*)\.", PAGE)
    assert sentence is not None
    named = sentence[1].replace("520 to 524", "520, 521, 522, 523, 524")
    assert {int(status) for status in re.findall(r"\d+", named)} == RETRIED
