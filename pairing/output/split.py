"""Train and validation in two files: each prompt wholly in one of them, by a seeded hash of its id.

The same prompt goes to the same side in every run with the same seed and share, whatever else the input holds. Both
files get the same columns, as HF datasets demands of the splits of one data set.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from pairing.formats import Format
from pairing.output.writer import EncodedRow, PairWriter
from pairing.reading.compression import plain_name

__all__ = ["SplitWriter", "in_validation", "live_path", "split_paths"]


def in_validation(prompt_id: str, share: float, seed: int = 0) -> bool:
    """True for about `share` of all prompt ids."""
    digest = hashlib.blake2b(f"{seed}:{prompt_id}".encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest) < share * 2**64


def split_paths(output: Path) -> tuple[Path, Path]:
    """pairs.jsonl -> (pairs.train.jsonl, pairs.validation.jsonl)."""
    plain = plain_name(output)  # pairs.jsonl.gz -> pairs.train.jsonl.gz
    ending = plain.suffix + output.name.removeprefix(plain.name)
    train, validation = (output.with_name(f"{plain.stem}.{name}{ending}") for name in ("train", "validation"))
    return train, validation


def live_path(output: Path) -> Path:
    """pairs.jsonl -> pairs.live.jsonl: the pairs of a run that goes on (see `follow`), as JSON lines always."""
    return output.with_name(f"{plain_name(output).stem}.live.jsonl")


class SplitWriter:
    """Two PairWriters as one. Raises what they raise."""

    def __init__(
        self,
        output: Path,
        target: Format,
        share: float,
        *,
        seed: int = 0,
        overwrite: bool = False,
        inputs: Sequence[Path] = (),
    ) -> None:
        self._share, self._seed = share, seed
        self.outputs = split_paths(output)
        self._train = PairWriter(self.outputs[0], target, overwrite=overwrite, inputs=inputs)
        try:
            self._validation = PairWriter(self.outputs[1], target, overwrite=overwrite, inputs=inputs)
        except BaseException:
            self._train.__exit__(None, None, None)
            raise

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._train.__exit__(kind, error, tb)
        self._validation.__exit__(kind, error, tb)

    def write(self, record: Any, prompt_id: str) -> None:
        """The record's rows, in the file of their prompt."""
        self._side(prompt_id).write(record, prompt_id)

    def write_encoded(self, row: EncodedRow, prompt_id: str) -> None:
        """A row that was encoded before, in the file of its prompt."""
        self._side(prompt_id).write_encoded(row, prompt_id)

    def write_block(self, source: BinaryIO, size: int, rows: int, columns: frozenset[str]) -> bool:
        """Always False: each row goes where its prompt belongs."""
        return False

    def add_adapted(self, adapted: Counter[str]) -> None:
        """Count what was done to the records of encoded rows."""
        self._train.add_adapted(adapted)

    @property
    def takes_blocks(self) -> bool:
        """False."""
        return False

    def _side(self, prompt_id: str) -> PairWriter:
        return self._validation if in_validation(prompt_id, self._share, self._seed) else self._train

    def restart(self) -> None:
        """Forget all rows."""
        self._train.restart()
        self._validation.restart()

    def commit(self) -> None:
        """Give both files their names, with the same columns."""
        self._train.finish()
        self._validation.finish()
        columns = self.columns
        for writer in (self._train, self._validation):
            writer.widen(columns)
        self._train.commit()
        self._validation.commit()

    @property
    def columns(self) -> frozenset[str]:
        """The optional columns of both files."""
        return self._train.columns | self._validation.columns

    @property
    def adapted(self) -> Counter[str]:
        """What a policy did to make pairs fit, by name."""
        return self._train.adapted + self._validation.adapted

    @property
    def rows(self) -> tuple[int, ...]:
        """Rows of each file."""
        return (*self._train.rows, *self._validation.rows)
