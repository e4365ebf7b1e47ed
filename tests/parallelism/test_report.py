"""What a sweep leaves for people: CSV, Markdown, one page that needs nothing beside itself."""

from __future__ import annotations

import csv
import io
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from collector.parallelism.report import report_files, terminal_text
from collector.parallelism.report.charts import Chart, Mark, Series, draw
from collector.parallelism.report.columns import COLUMNS
from collector.parallelism.report.files import csv_text, markdown_text
from collector.parallelism.report.page import page
from collector.parallelism.summary import Summary
from tests.parallelism.made_up import summary

ROOF = {1: 10.0, 2: 20.0, 4: 40.0, 8: 80.0, 16: 82.0, 32: 81.0}
TWELVE = {level: 10.0 * min(level, 20) for level in (1, 2, 4, 8, 11, 16, 23, 32, 64, 128, 256, 512)}
ONE = {4: 40.0}
NASTY = "<script>alert(1)</script>\"'&|`*"


class Page(HTMLParser):
    """Every tag and attribute of a page; void elements apart, tags must be closed in order."""

    VOID = frozenset({"meta"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("rates", [ROOF, TWELVE, ONE])
def test_the_page_is_whole_and_needs_nothing_else(rates: dict[int, float]) -> None:
    """Every tag is closed, nothing is loaded or linked: no script, no address, no image; the policy says so too."""
    text = page(summary(rates))
    found = Page(text)
    assert found.open == []
    tags = {tag for tag, _ in found.tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "image", "use", "a", "base", "form"}
    names = {name for _, attributes in found.tags for name in attributes}
    assert not names & {"src", "href", "xlink:href", "srcset", "action"}
    assert not any(name.startswith("on") for name in names)
    assert "://" not in text
    assert "url(" not in text
    assert "default-src 'none'" in text
    assert "prefers-color-scheme: dark" in text


def test_what_came_from_outside_is_escaped() -> None:
    """A model's name or an error's class that is HTML is shown as text, on the page and in Markdown."""
    nasty = summary(ROOF, facts={"model": NASTY, "endpoint": NASTY}, more={16: {"failure": NASTY}})
    found = Page(page(nasty))
    assert "script" not in {tag for tag, _ in found.tags}
    assert any("<script>alert(1)</script>" in words for words in found.words)
    assert "<script>" not in markdown_text(nasty)


@pytest.mark.parametrize("rates", [ROOF, TWELVE, ONE])
def test_the_charts_are_drawn_inside_their_frame(rates: dict[int, float]) -> None:
    """Each plot is well-formed, its points lie inside it, and labels of the levels do not touch."""
    svgs = re.findall(r"<svg.*?</svg>", page(summary(rates)), re.DOTALL)
    assert len(svgs) >= 7
    for svg in svgs:
        root = ElementTree.fromstring(svg)
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        dots = list(root.iter("circle"))
        assert dots
        assert all(0 <= float(dot.attrib["cx"]) <= width and 0 <= float(dot.attrib["cy"]) <= height for dot in dots)
        labels = [word for word in root.iter("text") if word.text in {str(level) for level in rates}]
        bottom = [float(word.attrib["x"]) for word in labels if float(word.attrib["y"]) > height - 40]
        bottom.sort()
        assert all(right - left >= 20 for left, right in pairwise(bottom))


def test_words_of_marks_that_lie_together_do_not_touch() -> None:
    """Three knees at nearly the same level: each word has a row of its own."""
    marks = [Mark(50, "law 50"), Mark(64, "use 64", strong=True), Mark(74, "segments 74")]
    points = [(1.0, 1.0, None, None), (128.0, 2.0, None, None)]
    root = ElementTree.fromstring(draw(Chart("knees", "x", (1, 128), [Series("a", points)], marks=marks)))
    rows = [float(word.attrib["y"]) for word in root.iter("text") if "word" in word.attrib["class"]]
    assert len(rows) == 3
    assert min(abs(one - other) for one, other in pairwise(sorted(rows))) >= 12


def test_a_chart_of_equal_values_has_a_scale() -> None:
    """A flat line, at zero or elsewhere, divides by nothing."""
    for value in (0.0, 0.5, 7.0):
        points = [(1.0, value, value, value), (2.0, value, value, value)]
        for from_zero in (True, False):
            drawn = draw(Chart("flat", "x", (1, 2), [Series("a", points)], from_zero=from_zero))
            ElementTree.fromstring(drawn)
            assert "nan" not in drawn


def test_the_csv_has_a_line_for_each_level_and_plain_units() -> None:
    """Intervals have columns of their own; what was not measured is an empty cell."""
    rows = list(csv.DictReader(io.StringIO(csv_text(summary(ROOF, more={8: {"output_tokens": None}})))))
    assert [row["level"] for row in rows] == ["1", "2", "4", "8", "16", "32"]
    assert float(rows[3]["rollouts_per_s"]) == pytest.approx(80, rel=0.01)
    assert float(rows[3]["rollouts_per_s_low"]) <= float(rows[3]["rollouts_per_s_high"])
    assert rows[3]["output_tokens_per_s"] == ""
    assert {column.name for column in COLUMNS} <= rows[0].keys()


def test_the_last_line_in_the_terminal_is_the_setting(tmp_path: Path) -> None:
    """As it can be put behind `pairmill collect`."""
    assert terminal_text(summary(ROOF), tmp_path).splitlines()[-1] == "--num-samples-in-parallel 8"


def held_nowhere() -> Summary:
    return summary(ROOF, changes={level: {"in_flight": 0.1} for level in ROOF})


def test_nothing_is_recommended_where_no_level_was_held(tmp_path: Path) -> None:
    """No setting then, anywhere; the reports are there all the same."""
    nothing = held_nowhere()
    assert nothing.recommendation is None
    assert "no_answer" in {flag.name for flag in nothing.grave}
    assert "--num-samples-in-parallel" not in terminal_text(nothing, tmp_path)
    assert report_files(nothing).keys() == {"levels.csv", "report.md", "report.html"}


def test_groups_are_no_prompts(tmp_path: Path) -> None:
    """A prompt that is asked again is a group of its own: a test on 1000 groups may be of 400 prompts."""
    text = terminal_text(summary(ROOF), tmp_path)
    assert "groups that every level had" in text
    assert "prompts that every level had" not in text
