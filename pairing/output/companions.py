"""Files beside the pairs: LLaMA-Factory's `dataset_info.json`, and a Hugging Face dataset card (`README.md`).

`dataset_info.json` is shared by all data sets of a folder: the entries of others stay as they are, in their order. A
README.md that is not ours is never touched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collector.errors import OutputError
from pairing.formats import Format
from pairing.formats.llama_factory import LlamaFactory, LlamaFactoryAlpaca
from pairing.output.card import MARK, dataset_card
from pairing.output.drafts import new_draft, remove_stale
from pairing.reading.compression import plain_name
from pairing.reports.funnel import PairReport

__all__ = ["Companions"]

_INFO = "dataset_info.json"
_CARD = "README.md"


@dataclass(frozen=True, slots=True)
class Companions:
    """What is written beside `output`. Raises OutputError, before any work is done, for a file that is in the way."""

    output: Path
    target: Format
    card: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.target, LlamaFactory | LlamaFactoryAlpaca):
            _entries(self._beside(_INFO))
        card = self._beside(_CARD)
        if self.card and card.exists() and MARK not in _text(card):
            raise OutputError(f"{card} is not a card of ours: move it away, or leave --card out")

    @property
    def paths(self) -> tuple[Path, ...]:
        """What it may write."""
        return (self._beside(_INFO), self._beside(_CARD))

    def write(self, report: PairReport, columns: frozenset[str]) -> list[Path]:
        """The files written, for the pairs of `report`, which stand in their places already."""
        written = []
        if isinstance(self.target, LlamaFactory | LlamaFactoryAlpaca):
            info = self._beside(_INFO)
            ours = {
                plain_name(path).stem: {"file_name": path.name} | self.target.info(columns) for path in report.outputs
            }
            _replace(info, json.dumps({**_entries(info), **ours}, indent=2, ensure_ascii=False) + "\n")
            written.append(info)
        if self.card:
            card = self._beside(_CARD)
            _replace(card, dataset_card(report, self.target, columns))
            written.append(card)
        return written

    def _beside(self, name: str) -> Path:
        return self.output.with_name(name)


def _entries(path: Path) -> Mapping[str, Any]:
    """The entries of a dataset_info.json; none when there is no such file."""
    if not path.exists():
        return {}
    try:
        found = json.loads(_text(path) or "{}")
    except ValueError as error:
        raise OutputError(f"{path}: not JSON ({error}): mend it, or give --output in another folder") from None
    if not isinstance(found, dict):
        raise OutputError(f"{path}: no JSON object: mend it, or give --output in another folder")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise OutputError(f"{path}: cannot be read: {error.strerror}") from None


def _replace(path: Path, text: str) -> None:
    """The whole file or none of it."""
    place = path.resolve()
    remove_stale(place)
    draft: Path | None = None
    try:
        draft, file = new_draft(place)
        with file:
            file.write(text.encode())
        draft.replace(place)
    except OSError as error:
        if draft is not None:
            draft.unlink(missing_ok=True)
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
