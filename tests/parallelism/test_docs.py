"""docs/bench.md tells of every flag there is; the example pages stand alone and name no machine."""

from __future__ import annotations

import argparse
import re
import socket
from pathlib import Path

import orjson
import pytest

from collector.options.bench import add_bench_options
from collector.parallelism import flags
from tests.parallelism.test_report import Page

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "bench.md").read_text(encoding="utf-8")
EXAMPLES = ("embedded", "llamacpp")


def test_every_flag_of_the_command_is_told() -> None:
    """Those that only the sweep has; the others are told where they come from."""
    parser = argparse.ArgumentParser(add_help=False)
    add_bench_options(parser)
    assert [option for action in parser._actions for option in action.option_strings if f"`{option}" not in TEXT] == []


def test_every_flag_of_a_figure_is_told() -> None:
    """Each name that the code can raise has its row."""
    source = Path(flags.__file__).read_text(encoding="utf-8")
    names = set(re.findall(r'Flag\("(\w+)"', source)) | {"reward_differs", "length_differs"}
    assert len(names) >= 10
    assert [name for name in sorted(names) if f"`{name}`" not in TEXT] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_the_docs_show_was_really_printed(name: str) -> None:
    """The block of output is the example's own, to the letter."""
    assert (DOCS / "examples" / f"bench-{name}.txt").read_text(encoding="utf-8").strip() in TEXT


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_stands_alone(name: str) -> None:
    """Under 300 KB, nothing loaded, no path and no name of the machine it was made on; page and summary agree."""
    path = DOCS / "examples" / f"bench-{name}.html"
    text = path.read_text(encoding="utf-8")
    summary = path.with_suffix(".json").read_text(encoding="utf-8")
    assert path.stat().st_size < 300_000
    assert not {"script", "link", "img"} & {tag for tag, _ in Page(text).tags}
    for content in (text, summary):
        assert not re.search(r"/(tmp|root|home|work|Users|var)/", content)
        assert socket.gethostname() not in content
        assert set(re.findall(r"https?://[\w.]+", content)) <= {"http://127.0.0.1"}
    found = orjson.loads(summary)
    assert found["state"] == "finished"
    assert f"--num-samples-in-parallel {found['recommendation']['num_samples_in_parallel']}" in text
