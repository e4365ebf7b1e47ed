"""Images of a prompt in each target's record: their places, their sources, the column on all rows or on none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairing import build_pairs
from pairing.build import pair_all
from pairing.checking import check_file
from pairing.formats import FORMATS, get_format
from pairing.formats.images import source_kind
from pairing.output.writer import PairWriter
from pairing.reading.groups import groups_by_index
from pairing.reports.funnel import Tally
from pairing.settings import PairSettings
from tests.pairing.make import Row, our_row, read_rows, write_rows
from tests.pairing.make_pairs import asked, said, straining_rows, user

URI = "data:image/png;base64,iVBORw0KGgo="
TAKERS = [name for name, target in FORMATS.items() if target.capabilities.images]


def text(words: str) -> Row:
    return {"type": "text", "text": words}


def image(url: str) -> Row:
    return {"type": "image_url", "image_url": {"url": url, "detail": "low"}}


def seen(*parts: Row, task: int = 0) -> list[Row]:
    """Two rollouts of a prompt with these parts."""
    rows: list[Row] = asked({"role": "user", "content": list(parts)}, task=task)("Good one.", "Bad one.")
    return rows


PICTURE = image("file:///data/my%20cat.png")


def paired(folder: Path, rows: Sequence[Row], format: str) -> tuple[Any, list[Row]]:
    """The report, and the rows written."""
    report = build_pairs(write_rows(folder / "r.jsonl", *rows), folder / "p.jsonl", format=format, overwrite=True)
    return report, read_rows(folder / "p.jsonl")


def test_trl_has_parts_and_images(tmp_path: Path) -> None:
    """Images keep their places; a prompt without any has parts too, and no images."""
    rows = [
        *seen(text("Is "), PICTURE, text(" like "), image(URI), text("?")),
        *asked(user("Plain."), task=1)("a1", "b2"),
    ]
    _, found = paired(tmp_path, rows, "trl")
    assert found[0]["images"] == ["/data/my cat.png", URI]
    places = [{"type": "image", "text": None}]
    assert found[0]["prompt"][0]["content"] == [text("Is "), *places, text(" like "), *places, text("?")]
    assert found[1]["images"] == []
    assert found[1]["prompt"] == [{"role": "user", "content": [text("Plain.")]}]
    assert found[1]["chosen"] == [said("a1")]


@pytest.mark.parametrize(
    ("format", "turns", "content"), [("llama-factory", "conversations", "value"), ("ms-swift", "messages", "content")]
)
def test_marks_stand_where_images_were(tmp_path: Path, format: str, turns: str, content: str) -> None:
    """In any of the user's messages, in order."""
    history = [{"role": "user", "content": [PICTURE, text("A cat?")]}, said("Yes.")]
    last = {"role": "user", "content": [text("And "), image("file://localhost/b.png"), text(" this?")]}
    _, (row,) = paired(tmp_path, asked(*history, last)("Good one.", "Bad one."), format)
    assert [turn[content] for turn in row[turns]][:3] == ["<image>A cat?", "Yes.", "And <image> this?"]
    assert row["images"] == ["/data/my cat.png", "/b.png"]


def test_responses_items_have_images_too(tmp_path: Path) -> None:
    """`input_image` with a URL; one that is but an id at the server is none that a trainer opens."""
    given = [{"type": "input_text", "text": "What?"}, {"type": "input_image", "image_url": URI, "detail": "auto"}]
    _, (row,) = paired(tmp_path, asked({"role": "user", "content": given})("a1", "b2"), "trl")
    assert row["images"] == [URI]
    given[1] = {"type": "input_image", "file_id": "file-1"}
    report, _ = paired(tmp_path, asked({"role": "user", "content": given})("a1", "b2"), "trl")
    assert dict(report.pair_drops) == {"unfit_content_parts": 1}


@pytest.mark.parametrize(
    ("url", "takers"),
    [
        ("file:///a.png", {"trl", "llama-factory", "ms-swift"}),
        ("pictures/a.png", {"trl", "llama-factory", "ms-swift"}),
        ("https://example.org/a.png", {"trl", "ms-swift"}),
        (URI, {"trl", "ms-swift"}),
        ("data:image/svg+xml,<svg/>", set()),
        ("s3://bucket/a.png", set()),
        ("file://elsewhere/a.png", set()),
        ("file://[a.png", set()),
        ("iVBORw0KGgo=" * 100, set()),
        ("", set()),
        (None, set()),
    ],
)
@pytest.mark.parametrize("format", TAKERS)
def test_what_a_trainer_does_not_open_is_left_out(tmp_path: Path, format: str, url: Any, takers: set[str]) -> None:
    """Counted under its reason; the check finds nothing wrong with what is written."""
    report, found = paired(tmp_path, seen(image(url), text("q")), format)
    if format in takers:
        assert len(found) == 1
        assert not check_file(tmp_path / "p.jsonl", format).counts
    else:
        assert dict(report.pair_drops) == {"unfit_image_source": 1}


UNFIT: dict[str, tuple[list[Row], str]] = {
    "answer": (asked(user("q"))([said("") | {"content": [image(URI)]}], "b2"), "unfit_content_parts"),
    "system": (asked({"role": "system", "content": [PICTURE]}, user("q"))("a1", "b2"), "unfit_content_parts"),
    "sound": (seen(PICTURE, {"type": "input_audio", "input_audio": {"data": ""}}), "unfit_content_parts"),
    "file": (seen(PICTURE, {"type": "file", "file": {"file_id": "f"}}), "unfit_content_parts"),
    "mark": (seen(PICTURE, text("What is <image>?")), "unfit_image_mark"),
    "mark in two parts": (seen(PICTURE, text("What is <ima"), text("ge>?")), "unfit_image_mark"),
    "mark in an answer": (asked({"role": "user", "content": [PICTURE]})("a <video>", "b2"), "unfit_image_mark"),
}


@pytest.mark.parametrize("format", TAKERS)
@pytest.mark.parametrize(("rows", "reason"), UNFIT.values(), ids=UNFIT)
def test_what_has_no_place_is_counted(tmp_path: Path, format: str, rows: list[Row], reason: str) -> None:
    """Images but in the user's messages, sound, files, and texts that a trainer would take for an image."""
    report, found = paired(tmp_path, rows, format)
    assert (dict(report.pair_drops), found) == ({reason: 1}, [])


@pytest.mark.parametrize("format", sorted(FORMATS.keys() - {*TAKERS, "recipe", "verl"}))
def test_all_others_say_so(tmp_path: Path, format: str) -> None:
    """Their reason is what it was."""
    report, _ = paired(tmp_path, seen(PICTURE, text("q")), format)
    assert dict(report.pair_drops) == {"unfit_content_parts": 1}


def test_a_text_is_no_image(tmp_path: Path) -> None:
    """A mark in a row without images: as it is in a file without images, and in one with them where it is harmless."""
    plain = asked(user("An <image> it says."), task=1)("An <image>.", "b2")
    for format in TAKERS:
        _, (row,) = paired(tmp_path, plain, format)
        assert b"images" not in orjson.dumps(row)
        assert orjson.dumps(row).count(b"<image>") == 2
        _, (_, row) = paired(tmp_path, [*seen(PICTURE), *plain], format)
        assert orjson.dumps(row).count(b"< image>") == (0 if format == "ms-swift" else 2)
        assert row["images"] == []
        assert not check_file(tmp_path / "p.jsonl", format).counts


@pytest.mark.parametrize("format", TAKERS)
def test_rows_of_text_are_what_they_were_but_for_the_column(tmp_path: Path, format: str) -> None:
    """What strains a format is written the same, images elsewhere in the file or not, but for the column."""
    _, alone = paired(tmp_path, straining_rows(), format)
    _, beside = paired(tmp_path, [*straining_rows(), *seen(PICTURE, task=90)], format)
    target = get_format(format)
    assert len(beside) == len(alone) + 1
    for one, other in zip(alone, beside, strict=False):
        line = target.encode(one, target.columns(one) | {"images"})
        assert orjson.loads(line) == other
        assert target.encode(orjson.loads(line), target.columns(one) | {"images"}) == line


@pytest.mark.parametrize("format", TAKERS)
def test_parquet_has_the_same(tmp_path: Path, format: str) -> None:
    """A list of text, beside rows without images."""
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [*asked(user("Plain."), task=1)("a1", "b2"), *seen(PICTURE, text("q"))]
    _, lines = paired(tmp_path, rows, format)
    build_pairs(tmp_path / "r.jsonl", tmp_path / "p.parquet", format=format)
    table = parquet.read_table(tmp_path / "p.parquet")
    assert table.to_pylist() == lines
    assert str(table.schema.field("images").type) in ("list<element: string>", "list<item: string>")


def test_the_entry_names_the_column(tmp_path: Path) -> None:
    """dataset_info.json, where a row has images, and only there."""
    for rows, told in ((seen(PICTURE), True), ([our_row(0, n, float(n)) for n in (0, 1)], False)):
        paired(tmp_path, rows, "llama-factory")
        entry = orjson.loads((tmp_path / "dataset_info.json").read_bytes())["p"]
        assert ("images" in entry["columns"]) is told


@given(st.text(max_size=40))
def test_any_text_has_a_kind_or_none(source: str) -> None:
    """Whatever the row says: no error, and no path with control characters."""
    assert source_kind(source) != "path" or source.isprintable()


@pytest.mark.parametrize("format", TAKERS)
def test_a_late_image_leads_the_file(tmp_path: Path, format: str) -> None:
    """Past the rows on which datasets settles types, its row goes in front; all others keep their order."""
    rows = [row for task in range(30) for row in asked(user("Long. " * 100), task=task)("a1", f"b{task}")]
    source = write_rows(tmp_path / "r.jsonl", *rows, *seen(PICTURE, task=30))
    with PairWriter(tmp_path / "p.jsonl", get_format(format), first_batch=1000) as writer:
        tally = Tally()
        pair_all(groups_by_index([source], tally.read), PairSettings(format=format).policy(), tally, writer)
        writer.commit()
    found = read_rows(tmp_path / "p.jsonl")
    assert [row["meta"]["task_index"] for row in found] == [30, *range(30)]
    assert [len(row["images"]) for row in found] == [1] + [0] * 30
