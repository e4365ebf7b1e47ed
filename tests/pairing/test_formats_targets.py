"""Every format against its trainer's schema and our own check: what is written fits, what does not fit is counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from pairing import build_pairs
from pairing.build import write_pairs
from pairing.checking import check_file
from pairing.formats import FORMATS
from pairing.formats.policy import UnfitPolicy
from pairing.formats.shapes import META, conformed
from pairing.settings import PairSettings
from tests.pairing.make import Row, our_row, read_rows, write_rows
from tests.pairing.make_pairs import straining_file, straining_rows
from tests.pairing.schemas import SCHEMAS

TRAINERS = [name for name in FORMATS if name != "recipe"]


def written(folder: Path, name: str, rows: list[Row], unfit: str = "skip") -> list[Row]:
    """The rows that the format makes; verl's as JSON lines, whose Parquet has a test of its own."""
    name = "trl-standard" if FORMATS[name].parquet_only else name
    settings = PairSettings(format=name, unfit=UnfitPolicy.parse(unfit))
    write_pairs([write_rows(folder / "r.jsonl", *rows)], folder / f"{name}.jsonl", settings, True)
    return read_rows(folder / f"{name}.jsonl")


@pytest.mark.parametrize("unfit", ["skip", "last-turn,inline-reasoning"])
@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_fits_the_trainer(tmp_path: Path, name: str, unfit: str) -> None:
    """Fifteen prompts that strain formats: each row passes the schema of its loader, and the check finds no fault."""
    rows = written(tmp_path, name, straining_rows(), unfit)
    assert len(rows) >= 5
    for row in rows:
        jsonschema.validate(row, SCHEMAS[name], cls=jsonschema.Draft202012Validator)
    only_parquet = FORMATS[name].parquet_only
    report = check_file(tmp_path / ("trl-standard.jsonl" if only_parquet else f"{name}.jsonl"), name)
    told = {"tool_output_trained", "shared_start"} | ({"file_kind"} if only_parquet else set())
    assert {k: report.shown[k] for k in report.counts if k not in told} == {}


@pytest.mark.parametrize("name", FORMATS)
def test_every_pair_is_written_or_counted(tmp_path: Path, name: str) -> None:
    """Pairs written and pairs refused with a reason make up all that were picked, and nothing else."""
    if FORMATS[name].parquet_only:
        pytest.skip("needs pyarrow")
    report = build_pairs(straining_file(tmp_path), tmp_path / "p.jsonl", format=name)
    assert report.picked == 15
    assert report.pairs + sum(report.pair_drops.values()) == 15
    assert all(reason.startswith("unfit_") for reason in report.pair_drops)


@pytest.mark.parametrize("name", TRAINERS)
def test_every_row_has_the_same_columns(tmp_path: Path, name: str) -> None:
    """The shape that the format gives for the file's columns is that of every row, key by key."""
    target = FORMATS[name]
    if not target.capabilities.rectangular:
        pytest.skip("services read row by row")
    rows = written(tmp_path, name, straining_rows())
    columns = frozenset(column for row in rows for column in target.columns(row))
    shape = target.shape(columns)
    assert shape is not None
    for row in rows:
        assert list(row) == list(shape)
        assert json.dumps(conformed(row, shape)) == json.dumps(row)


@pytest.mark.parametrize("name", TRAINERS)
def test_a_record_can_get_a_column_later(tmp_path: Path, name: str) -> None:
    """What the protocol demands: a row written with few columns and read again is the row with more."""
    target = FORMATS[name]
    rows = [our_row(0, n, float(n), f"Answer {n}.") for n in (0, 1)]
    (line, *_) = written(tmp_path, name, rows)
    more = frozenset({"tools", "prompt.tool_calls", "chosen.reasoning_content", "completions.completion.name"})
    wide = json.loads(target.encode(line, more & _known(target)))
    assert all(wide[key] == value or isinstance(value, list) for key, value in line.items())
    assert json.loads(target.encode(wide, more & _known(target))) == wide


def _known(target: Any) -> frozenset[str]:
    fillers = getattr(target, "fillers", {})
    return frozenset({*fillers, "prompt.tool_calls", "chosen.reasoning_content", "completions.completion.name"})


def test_meta_is_what_pairs_give(tmp_path: Path) -> None:
    """The declared metadata columns are those of Pair.meta, types too."""
    (row,) = written(tmp_path, "trl", [our_row(0, n, float(n)) for n in (0, 1)])
    assert {key: type(value) for key, value in row["meta"].items()} == META


@pytest.mark.parametrize("name", ["openai", "together", "fireworks"])
def test_services_get_nothing_but_what_they_document(tmp_path: Path, name: str) -> None:
    """No metadata, no filler: the services check their files."""
    rows = written(tmp_path, name, straining_rows(), "last-turn,inline-reasoning")
    assert {key for row in rows for key in row} == {"input", "preferred_output", "non_preferred_output"}
    assert any("tools" in row["input"] for row in rows)
