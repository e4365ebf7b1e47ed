"""What a rollouts file holds in numbers: the mean of every numeric field, the spread of the reward, what is odd.

Read from the file, not counted along the way, so that it is right for resumed runs and for files of others.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from collector.journal.reader import iter_lines
from collector.records.flags import FLAGS, flag_lines
from collector.records.spread import Spread

__all__ = ["StreamSummary", "summarise"]

_NOT_MEASURED = frozenset(
    {"seed", "attempt", "responses_create_params", "response", "output", "timing", "usage", "prompt_id", "endpoint"}
)
_LONGEST_NUMBER = 400
"""Characters: no number worth a mean is longer."""
_NUMBER_STARTS = frozenset(b"-0123456789")


class _Turn(msgspec.Struct):
    role: str = ""
    content: msgspec.Raw = msgspec.Raw()


_decode_row = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_flags = msgspec.json.Decoder(list[str]).decode
_decode_output = msgspec.json.Decoder(list[_Turn]).decode


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """`numbers` holds the spread of each numeric top-level field, in the order in which the fields first appeared.
    `flags` counts the rollouts that have each flag; `identical` among them is counted anew, see `_Samples`."""

    rows: int
    numbers: dict[str, Spread]
    flags: Counter[str] = field(default_factory=Counter)

    @property
    def means(self) -> dict[str, float]:
        """What NeMo Gym prints at the end of a run: the mean of every numeric field."""
        return {name: spread.mean for name, spread in self.numbers.items()}

    def oddities(self) -> list[str]:
        """One line for each thing that is worth a word about the rollouts; none when all are as they should be."""
        return flag_lines(self.flags, self.rows)


def summarise(path: Path) -> StreamSummary:
    """One pass over a rollouts file, in the memory of one prompt's samples' hashes. Lines that are no JSON object are
    passed over: pairing reports them."""
    rows = 0
    numbers: dict[str, Spread] = {}
    flags: Counter[str] = Counter()
    samples = _Samples()
    for line in iter_lines(path):
        try:
            row = _decode_row(line.raw)
        except msgspec.DecodeError:
            continue
        rows += 1
        _add_numbers(numbers, row)
        if "flags" in row:
            flags.update(_flags(row["flags"]))
        samples.add(row)
    flags["identical"] = samples.identical
    return StreamSummary(rows, numbers, +flags)


def _add_numbers(numbers: dict[str, Spread], row: dict[str, msgspec.Raw]) -> None:
    for name, raw in row.items():
        if name in _NOT_MEASURED or name.startswith("_"):
            continue
        if len(raw) > _LONGEST_NUMBER:  # texts and objects: not even copied
            continue
        value = _number(bytes(raw))
        if value is not None:
            numbers.setdefault(name, Spread()).add_one(value)


def _number(raw: bytes) -> float | None:
    """The value of a JSON number or boolean; None for anything else. Booleans count, as in NeMo Gym."""
    if raw[:1] in (b"t", b"f"):
        return 1.0 if raw == b"true" else 0.0
    if raw[0] not in _NUMBER_STARTS:
        return None
    value = float(raw)
    return value if math.isfinite(value) else None


def _flags(raw: msgspec.Raw) -> set[str]:
    """The row's flags, each once; none of a field of that name that is something else."""
    try:
        return FLAGS.keys() & _decode_flags(raw)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return set()


class _Samples:
    """Counts samples whose text another sample of their prompt has too. Each was drawn for itself: with a seed of its
    own, at random, or as one of several of one request.

    Exact for a sealed file, where a prompt's rollouts stand together, and the same whatever their order: of k samples
    with one text k - 1 count. Texts are kept as hashes, those of one prompt at a time. The flag `identical` of the rows
    is no use here: it says which came later, and a resumed run has forgotten the earlier ones.
    """

    def __init__(self) -> None:
        self.identical = 0
        self._prompt = b""
        self._texts: set[int] = set()

    def add(self, row: dict[str, msgspec.Raw]) -> None:
        """One more row. One that has no prompt's index, or no text at its end, is not compared."""
        if "_ng_task_index" not in row or "output" not in row:
            return
        prompt = bytes(row["_ng_task_index"])
        if prompt != self._prompt:
            self._prompt = prompt
            self._texts.clear()
        text = _last_text(row["output"])
        if text is None:
            return
        self.identical += text in self._texts
        self._texts.add(text)


def _last_text(output: msgspec.Raw) -> int | None:
    """A hash of the last assistant turn's content, as the bytes it was written with; None when it is empty."""
    try:
        turns = _decode_output(output)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None
    for turn in reversed(turns):
        if turn.role == "assistant":
            content = bytes(turn.content)
            return None if content in (b"", b'""', b"[]") else hash(content)
    return None
