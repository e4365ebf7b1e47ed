"""Rows that one process encodes and another puts into the pairs file, copied in large pieces where nothing else asks
for each row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BytesIO
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO

from collector.errors import OutputError
from pairing.formats import Format
from pairing.output.split import SplitWriter
from pairing.output.writer import EncodedRow, PairWriter

__all__ = ["Block", "BlockSink", "write_blocks"]


@dataclass(slots=True)
class Block:
    """Lines that stand together and have the same optional columns."""

    columns: frozenset[str]
    size: int = 0
    """Bytes, newlines included."""
    rows: int = 0
    prompt_ids: list[str] = field(default_factory=list)
    """Whose each row is; none where the writer keeps the order of rows, and does not ask."""


class BlockSink:
    """Encodes what a PairWriter would be given, into files of its own.

    `widening` gives each row the columns of those before it too, which saves the writer from encoding it again. That
    holds for a writer of one file that keeps the order of its rows: rows that came before have reached it before.
    """

    def __init__(self, target: Format, widening: bool, output: Path) -> None:
        self._target, self._widening, self._output = target, widening, output
        self._takes_lines = target.splices
        self._columns: frozenset[str] = frozenset()
        self._blocks: list[Block] = []
        self._file: BinaryIO = BytesIO()
        self._adapted: Counter[str] = Counter()

    def begin(self, file: BinaryIO) -> None:
        """What is written from now on goes to the beginning of `file`."""
        file.seek(0)
        self._file, self._blocks, self._adapted = file, [], Counter()

    def end(self) -> tuple[list[Block], Counter[str]]:
        """What was written since `begin`, all of it in the file, and what a policy did to make pairs fit, by name.
        Raises OutputError."""
        try:
            self._file.flush()
        except OSError as error:
            raise self._failed(error) from None
        return self._blocks, self._adapted

    def write(self, record: Any, prompt_id: str) -> None:
        """The rows of a record that the target made. Raises OutputError."""
        target = self._target
        if type(record) is bytes and self._takes_lines and not self._columns:
            self._put(record + b"\n", self._columns, prompt_id)
            return
        if adapted := target.adapted(record):
            self._adapted.update(adapted)
        for row in target.rows(record):
            columns = target.columns(row)
            if self._widening:
                self._columns = columns = self._columns | columns
            self._put(target.encode(row, columns) + b"\n", columns, prompt_id)

    def _put(self, line: bytes, columns: frozenset[str], prompt_id: str) -> None:
        try:
            self._file.write(line)
        except OSError as error:
            raise self._failed(error) from None
        if not self._blocks or self._blocks[-1].columns != columns:
            self._blocks.append(Block(columns))
        block = self._blocks[-1]
        block.size += len(line)
        block.rows += 1
        if not self._widening:
            block.prompt_ids.append(prompt_id)

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(f"{self._output}: cannot be written: {error.strerror or error} (--output)")


def write_blocks(blocks: Iterable[Block], file: BinaryIO, writer: PairWriter | SplitWriter) -> None:
    """Write the blocks that stand at the beginning of `file`."""
    file.seek(0)
    for block in blocks:
        if writer.write_block(file, block.size, block.rows, block.columns):
            continue
        lines = file.read(block.size).split(b"\n")[:-1]
        for line, prompt_id in zip(lines, block.prompt_ids or repeat(""), strict=False):
            writer.write_encoded(EncodedRow(line, block.columns), prompt_id)
