"""The embedded model as Hugging Face's, and files of pairs that strain every format. Nothing is downloaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import collector.embedded
from pairing.build import write_pairs
from pairing.formats.policy import UnfitPolicy
from pairing.settings import PairSettings
from tests.pairing.make_pairs import straining_file

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["WANDB_DISABLED"] = "true"
MODEL = Path(collector.embedded.__file__).parent / "data" / "model"
Loaded = Callable[..., Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder is marked, and other people's warnings are no errors."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.interop)
            item.add_marker(pytest.mark.filterwarnings("ignore"))
            item.add_marker(pytest.mark.timeout(300))


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(MODEL)


@pytest.fixture
def pairs(tmp_path: Path) -> Callable[..., Path]:
    """pairs(format, suffix=".jsonl", unfit="skip"): a file of straining pairs in that format."""
    source = straining_file(tmp_path)

    def made(format: str, suffix: str = ".jsonl", unfit: str = "skip") -> Path:
        output = tmp_path / f"pairs{suffix}"
        settings = PairSettings(format=format, unfit=UnfitPolicy.parse(unfit))
        write_pairs([source], output, settings, True)
        return output

    return made


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """loaded(path): the file as HF datasets loads it."""

    def load(path: Path) -> Any:
        from datasets import load_dataset

        kind = "parquet" if path.suffix == ".parquet" else "json"
        return load_dataset(kind, data_files=str(path), cache_dir=str(tmp_path / "cache"))["train"]

    return load
