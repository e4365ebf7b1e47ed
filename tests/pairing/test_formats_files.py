"""The files: Parquet, train and validation, the dataset card, LLaMA-Factory's dataset_info.json."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.errors import OutputError, UsageError
from pairing.build import build_pairs, write_pairs
from pairing.checking import check_file
from pairing.cli import main
from pairing.formats import FORMATS
from pairing.formats.policy import UnfitPolicy
from pairing.output.split import in_validation
from pairing.reports.funnel import PairReport
from pairing.settings import PairSettings
from tests.pairing.make import Row, our_row, read_rows, write_rows
from tests.pairing.make_pairs import straining_rows

RECTANGULAR = [name for name, target in FORMATS.items() if target.capabilities.rectangular]


def many_rows(prompts: int) -> list[Row]:
    return [our_row(task, n, float(n), f"Answer {n} to {task}.") for task in range(prompts) for n in (0, 1)]


def write(folder: Path, rows: list[Row], name: str = "pairs.jsonl", **settings: Any) -> PairReport:
    overwrite = settings.pop("overwrite", False)
    source = write_rows(folder / "r.jsonl", *rows)
    return write_pairs([source], folder / name, PairSettings(**settings), overwrite)


@pytest.mark.parametrize("name", RECTANGULAR)
def test_parquet_holds_what_json_lines_hold(tmp_path: Path, name: str) -> None:
    """The same rows, in order, with every column of the shape and its type; the check reads it too."""
    parquet = pytest.importorskip("pyarrow.parquet")
    unfit = UnfitPolicy.parse("last-turn,inline-reasoning")
    write(tmp_path, straining_rows(), "pairs.parquet", format=name, unfit=unfit)
    rows = parquet.read_table(tmp_path / "pairs.parquet").to_pylist()
    plain = "trl-standard" if FORMATS[name].parquet_only else name
    write(tmp_path, straining_rows(), "pairs.jsonl", format=plain, unfit=unfit)
    assert rows == read_rows(tmp_path / "pairs.jsonl")
    assert check_file(tmp_path / "pairs.parquet", name).wrong == 0


def test_parquet_types_do_not_come_from_the_rows(tmp_path: Path) -> None:
    """A file without any pair has the columns all the same."""
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [our_row(0, 0, 1.0), our_row(0, 1, 1.0)]
    write(tmp_path, rows, "pairs.parquet")
    schema = parquet.read_schema(tmp_path / "pairs.parquet")
    assert schema.names == ["prompt", "chosen", "rejected", "meta"]
    assert str(schema.field("chosen").type) == "list<element: struct<role: string, content: string>>"


def test_parquet_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line before any work is done, with what to install."""
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match=r"pip install 'pairmill\[parquet\]'"):
        write(tmp_path, many_rows(2), "pairs.parquet")
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(UsageError, match=r"pip install 'pairmill\[parquet\]'"):
        check_file(tmp_path / "x.parquet", "trl")


def test_a_format_and_a_file_that_do_not_go_together(tmp_path: Path) -> None:
    """verl reads Parquet alone, a service JSON lines alone."""
    with pytest.raises(UsageError, match="--format verl is read as Parquet alone: give an --output named .parquet"):
        write(tmp_path, many_rows(2), format="verl")
    with pytest.raises(UsageError, match="--format openai has no fixed columns: give a .jsonl"):
        write(tmp_path, many_rows(2), "pairs.parquet", format="openai")


def test_the_split_is_by_prompt_and_stays(tmp_path: Path) -> None:
    """Each pair in one of two files, about the share asked for; more data moves no prompt."""
    report = write(tmp_path, many_rows(400), validation=0.2)
    files = [tmp_path / "pairs.train.jsonl", tmp_path / "pairs.validation.jsonl"]
    train, validation = (read_rows(path) for path in files)
    assert report.outputs == tuple(files)
    assert report.rows == (len(train), len(validation))
    assert len(train) + len(validation) == report.pairs == 400
    assert 50 <= len(validation) <= 110
    held_out = {row["meta"]["prompt_id"] for row in validation}
    assert held_out.isdisjoint(row["meta"]["prompt_id"] for row in train)
    write(tmp_path, many_rows(500), validation=0.2, overwrite=True)
    again = {row["meta"]["prompt_id"] for row in read_rows(files[1])}
    assert held_out <= again
    assert not (tmp_path / "pairs.jsonl").exists()


def test_both_files_of_a_split_have_the_same_columns(tmp_path: Path) -> None:
    """Though only one of them has rows with tools."""
    write(tmp_path, [*straining_rows(), *many_rows(30)[30:]], validation=0.3)
    columns = [{tuple(row) for row in read_rows(path)} for path in sorted(tmp_path.glob("pairs.*.jsonl"))]
    assert columns[0] == columns[1] == {("prompt", "chosen", "rejected", "tools", "meta")}


def test_compressed_files_are_split_and_checked_too(tmp_path: Path) -> None:
    """The compression stays the last part of the name, and the check reads through it."""
    report = write(tmp_path, many_rows(30), "pairs.jsonl.gz", validation=0.5)
    assert [path.name for path in report.outputs] == ["pairs.train.jsonl.gz", "pairs.validation.jsonl.gz"]
    found = [check_file(path) for path in report.outputs]
    assert tuple(one.rows for one in found) == report.rows
    assert not any(one.counts for one in found)


def test_another_seed_holds_out_others() -> None:
    """The seed decides; a share of one half halves."""
    ids = [f"{number:016x}" for number in range(1000)]
    one, other = ({name for name in ids if in_validation(name, 0.5, seed)} for seed in (0, 1))
    assert 400 < len(one) < 600
    assert one != other


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_a_share_that_is_none(share: float) -> None:
    """One line with the flag."""
    with pytest.raises(UsageError, match="--validation .*: give a share under 1"):
        PairSettings(validation=share)


def test_a_split_replaces_nothing(tmp_path: Path) -> None:
    """Either file is reason to stop, and nothing half is left."""
    (tmp_path / "pairs.validation.jsonl").write_text("mine")
    with pytest.raises(OutputError, match=r"pairs\.validation\.jsonl exists already"):
        write(tmp_path, many_rows(2), validation=0.5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.validation.jsonl", "r.jsonl"]


def test_the_card_says_what_was_made(tmp_path: Path) -> None:
    """Front matter that parses, with the files, splits and columns as they are; the funnel below it."""
    report = write(tmp_path, many_rows(40), validation=0.25, card=True)
    text = (tmp_path / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["configs"][0]["data_files"] == [
        {"split": "train", "path": "pairs.train.jsonl"},
        {"split": "validation", "path": "pairs.validation.jsonl"},
    ]
    assert [split["num_examples"] for split in front["dataset_info"]["splits"]] == list(report.rows)
    assert [feature["name"] for feature in front["dataset_info"]["features"]] == [
        "prompt",
        "chosen",
        "rejected",
        "meta",
    ]
    assert "| pairs | 40 |" in text
    assert report.beside == (tmp_path / "README.md",)


def test_a_card_names_what_was_left_out_and_changed(tmp_path: Path) -> None:
    """Reasons with their counts and meanings."""
    write(tmp_path, straining_rows(), format="axolotl", unfit=UnfitPolicy.parse("last-turn"), card=True)
    text = (tmp_path / "README.md").read_text()
    assert "| `unfit_tools` |" in text
    assert "| `last_turn` | 1 |" in text


def test_a_readme_of_somebody_else_stays(tmp_path: Path) -> None:
    """Even with overwrite; a card of ours is replaced."""
    write(tmp_path, many_rows(2), card=True)
    write(tmp_path, many_rows(3), card=True, overwrite=True)
    assert "| pairs | 3 |" in (tmp_path / "README.md").read_text()
    (tmp_path / "README.md").write_text("# My project")
    with pytest.raises(OutputError, match=r"README\.md is not a card of ours"):
        write(tmp_path, many_rows(2), card=True, overwrite=True)
    assert (tmp_path / "README.md").read_text() == "# My project"


@pytest.mark.parametrize("name", ["llama-factory", "llama-factory-alpaca"])
def test_dataset_info_keeps_what_stands_there(tmp_path: Path, name: str) -> None:
    """Other data sets' entries stay, in their order; ours is put in or replaced."""
    info = tmp_path / "dataset_info.json"
    info.write_text('{"théirs": {"file_name": "a.json"}, "pairs": {"file_name": "old"}}')
    write(tmp_path, many_rows(3), format=name)
    entries = json.loads(info.read_text())
    assert list(entries) == ["théirs", "pairs"]
    assert entries["théirs"] == {"file_name": "a.json"}
    assert (entries["pairs"]["file_name"], entries["pairs"]["ranking"]) == ("pairs.jsonl", True)


def test_a_split_gets_an_entry_for_each_file(tmp_path: Path) -> None:
    """Named after the files."""
    write(tmp_path, many_rows(20), format="llama-factory", validation=0.3)
    entries = json.loads((tmp_path / "dataset_info.json").read_text())
    assert {name: entry["file_name"] for name, entry in entries.items()} == {
        "pairs.train": "pairs.train.jsonl",
        "pairs.validation": "pairs.validation.jsonl",
    }


@pytest.mark.parametrize("text", ["{torn", "[1]"])
def test_a_dataset_info_that_cannot_be_read_stops_before_the_work(tmp_path: Path, text: str) -> None:
    """Nothing is written, and it stays as it is."""
    (tmp_path / "dataset_info.json").write_text(text)
    with pytest.raises(OutputError, match=r"dataset_info\.json: no.* JSON"):
        write(tmp_path, many_rows(2), format="llama-factory")
    assert (tmp_path / "dataset_info.json").read_text() == text
    assert not (tmp_path / "pairs.jsonl").exists()


def test_the_command_line_does_all_of_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Format, policy, split and card as flags; what was written is named."""
    source = write_rows(tmp_path / "r.jsonl", *straining_rows(), *many_rows(40)[40:])
    words = ["pair", "--input", str(source), "--output", str(tmp_path / "p.jsonl"), "--format", "llama-factory"]
    assert main([*words, "--unfit", "last-turn,inline-reasoning", "--validation", "0.3", "--card"]) == 0
    out = capsys.readouterr().out
    for name in ("p.train.jsonl", "p.validation.jsonl", "dataset_info.json", "README.md", "~ last_turn"):
        assert name in out
    assert main(["formats"]) == 0
    assert main(["formats", "axolotl"]) == 0
    assert "axolotl: `{" in capsys.readouterr().out


@pytest.mark.parametrize("place", ["/", "."])
def test_a_path_without_a_name_is_a_folder(tmp_path: Path, place: str) -> None:
    """Said by the library as by the command, whatever stands beside the output."""
    rows = write_rows(tmp_path / "r.jsonl", *many_rows(2))
    with pytest.raises(OutputError, match="is a folder: give a file"):
        build_pairs(rows, place, format="llama-factory", overwrite=True)
