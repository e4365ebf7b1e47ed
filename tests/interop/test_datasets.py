"""HF datasets loads every rectangular file, JSON lines and Parquet alike; what the check calls late it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pairing.build import write_pairs
from pairing.checking import check_file
from pairing.formats import FORMATS
from pairing.settings import PairSettings
from tests.interop.conftest import Loaded
from tests.pairing.make_pairs import straining_file

RECTANGULAR = [name for name, target in FORMATS.items() if target.capabilities.rectangular]


@pytest.mark.parametrize("name", RECTANGULAR)
def test_both_kinds_of_file_load_alike(pairs: Callable[..., Path], loaded: Loaded, name: str) -> None:
    """The same rows with the same types."""
    parquet = loaded(pairs(name, ".parquet"))
    assert len(parquet) >= 5
    if not FORMATS[name].parquet_only:
        lines = loaded(pairs(name, ".jsonl"))
        assert lines.to_list() == parquet.to_list()
        assert set(lines.column_names) == set(parquet.column_names)


@pytest.mark.parametrize("name", ["trl", "llama-factory", "nemo-rl"])
def test_the_card_is_what_datasets_reads(tmp_path: Path, name: str) -> None:
    """A folder with a card loads as a data set of its splits, with the columns that the card names."""
    from datasets import load_dataset

    folder = tmp_path / "set"
    folder.mkdir()
    settings = PairSettings(format=name, validation=0.4, card=True)
    report = write_pairs([straining_file(tmp_path)], folder / "pairs.jsonl", settings, False)
    found = load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {split: len(rows) for split, rows in found.items()} == dict(
        zip(("train", "validation"), report.rows, strict=True)
    )


def test_what_the_check_calls_late_datasets_refuses(tmp_path: Path, loaded: Loaded) -> None:
    """A column of nulls for more than 10 MiB, then text."""
    from datasets.exceptions import DatasetGenerationError

    row: dict[str, Any] = {"prompt": "q", "chosen": "a", "rejected": "b", "x": None, "pad": "p" * 100_000}
    path = tmp_path / "late.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in [row] * 150 + [row | {"x": "text"}]))
    assert check_file(path, "trl-standard").counts["late_type"] == 1
    with pytest.raises(DatasetGenerationError):
        loaded(path)
