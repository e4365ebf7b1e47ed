"""`--num-samples-in-parallel` as a number, a range or `auto`, in every spelling; what is none of them is one line."""

from __future__ import annotations

import argparse
import resource
from pathlib import Path

import pytest

from collector.cli import add_parsers
from collector.errors import UsageError
from collector.openfiles import connections_allowed
from collector.options import Parser, settings_from
from collector.options.config_file import with_config
from collector.options.plus_args import translate
from collector.options.scoring import check_scoring_alone
from collector.settings import CollectSettings


def parse(*words: str) -> argparse.Namespace:
    parser = Parser(prog="pairmill")
    commands = parser.add_subparsers(required=True)
    add_parsers(commands)
    given = ["collect", "--input=in.jsonl", "--output=out/r.jsonl", *translate(list(words))]
    return parser.parse_args(with_config(given, commands.choices))


def settings(*words: str) -> CollectSettings:
    return settings_from(parse(*words), base_url="http://127.0.0.1:1/v1", output=Path("out/r.jsonl"))


@pytest.mark.parametrize(
    ("word", "least", "most", "shown"),
    [("7", None, 7, "7"), ("8-256", 8, 256, "8-256"), (" 8 - 256 ", 8, 256, "8-256"), ("32-32", None, 32, "32")],
)
def test_a_number_is_fixed_and_a_range_is_not(word: str, least: int | None, most: int, shown: str) -> None:
    """A range of one number is that number. All spellings mean the same."""
    for given in (f"--num-samples-in-parallel={word}", f"+num_samples_in_parallel='{word}'"):
        asked = settings(given)
        assert (asked.parallel_min, asked.num_samples_in_parallel, asked.parallelism) == (least, most, shown)


@pytest.mark.parametrize("word", ["auto", "AUTO"])
def test_auto_is_from_one_to_a_thousand_as_far_as_connections_are_allowed(word: str) -> None:
    """It must not fail where the system allows few open files: it comes to fewer then."""
    asked = settings(f"--num-samples-in-parallel={word}")
    assert (asked.parallel_min, asked.num_samples_in_parallel) == (1, min(1024, connections_allowed()))
    assert settings("+num_samples_in_parallel=auto") == asked


@pytest.mark.parametrize(("hard", "allowed"), [(1024, 480), (10, 1), (10**6, 60_000), (resource.RLIM_INFINITY, 60_000)])
def test_the_connections_allowed_leave_room_for_those_that_close(
    hard: int, allowed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of what is left of the system's hard limit, and never more than a host has ports."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, hard))
    assert connections_allowed() == allowed


@pytest.mark.parametrize("word", ["0", "-3", "8-", "-8-9", "64-8", "0-8", "auto-64", "many", "1.5", "", "8-256-9"])
def test_nonsense_is_one_line_that_names_flag_and_value(word: str) -> None:
    """What a user sees is one line, and says what to give."""
    with pytest.raises(UsageError, match=r"--num-samples-in-parallel: .*give (a number|a range|1 or more)") as caught:
        settings(f"--num-samples-in-parallel={word}")
    assert "\n" not in str(caught.value)
    assert word in str(caught.value)


@pytest.mark.parametrize("range_", [(0, 8), (9, 8)])
def test_settings_from_python_are_held_to_the_same(range_: tuple[int, int]) -> None:
    """The class checks itself."""
    with pytest.raises(UsageError, match=r"--num-samples-in-parallel \d-8: give a range"):
        CollectSettings(
            input=Path("i"), output=Path("o"), base_url="http://h", parallel_min=range_[0],
            num_samples_in_parallel=range_[1],
        )  # fmt: skip


def test_more_connections_than_a_host_has_are_refused_in_a_range_too() -> None:
    """Its upper end is a number like any other."""
    with pytest.raises(UsageError, match="--num-samples-in-parallel 70000: give a number from 1 to 60000"):
        settings("--num-samples-in-parallel=8-70000")


@pytest.mark.parametrize(("value", "shown"), [('"auto"', "1-"), ('"8-64"', "8-64"), ("8", "8")])
def test_a_file_of_settings_may_hold_either(tmp_path: Path, value: str, shown: str) -> None:
    """A TOML number, or a text."""
    path = tmp_path / "c.toml"
    path.write_text(f"num_samples_in_parallel = {value}\n")
    assert settings(f"--config={path}").parallelism.startswith(shown)


def test_what_a_run_is_does_not_depend_on_it() -> None:
    """--resume compares the identity: no word of parallelism is in it."""
    assert settings("--num-samples-in-parallel=auto").identity() == settings("--num-samples-in-parallel=3").identity()


def test_scoring_again_takes_a_number_alone() -> None:
    """No server is asked for rollouts there: there is no queue that a limit could follow."""
    check_scoring_alone(parse("--reverify", "--verifier=exact", "--num-samples-in-parallel=5"))
    with pytest.raises(UsageError, match="--num-samples-in-parallel: give a number: --reverify"):
        check_scoring_alone(parse("--reverify", "--verifier=exact", "--num-samples-in-parallel=auto"))
