"""verl's reward-model data: three strings in Parquet (`verl.utils.dataset.rm_dataset.RMDataset`)."""

from __future__ import annotations

from typing import ClassVar

from pairing.formats.trl_text import TrlStandard

__all__ = ["Verl"]


class Verl(TrlStandard):
    """`prompt`, `chosen`, `rejected` as strings, `meta` beside them. No chat template is applied to it."""

    name: ClassVar[str] = "verl"
    parquet_only: ClassVar[bool] = True
