"""The index of rows in no order: sorted by any chunks, in memory or on disk."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairing import build_pairs
from pairing.reading.offsets import OffsetIndex
from pairing.reading.sorted_rows import ROW, SortedRows
from tests.pairing.make import Row, gym_row, our_row, write_rows

KEYS = st.tuples(st.integers(0, 6), st.integers(0, 3))


@settings(max_examples=80, deadline=None)
@given(keys=st.lists(KEYS, max_size=60), chunk=st.integers(1, 9), part=st.integers(1, 4), spill=st.booleans())
def test_rows_come_sorted_and_equals_in_order(keys: list[tuple[int, int]], chunk: int, part: int, spill: bool) -> None:
    """Whatever the chunks, parts and limit: by task and prompt, and equal ones by place once a group is whole."""
    rows = np.array([(task, prompt, place, 1) for place, (task, prompt) in enumerate(keys)], ROW)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pairing.reading.sorted_rows._CHUNK", chunk)
        patch.setattr("pairing.reading.sorted_rows._PART", part)
        with SortedRows(0 if spill else 2**30) as sorted_rows:
            sorted_rows.add(rows)
            found = [row for block in sorted_rows.blocks() for row in block.tolist()]
            assert sorted_rows.spilled == (spill and bool(keys))
    assert [row[:2] for row in found] == sorted(keys)
    assert sorted(found) == sorted(rows.tolist())


@pytest.mark.parametrize("chunk", [7, 64])
def test_an_index_on_disk_changes_no_pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """Rows with and without task index, groups over several chunks: the bytes are those of an index in memory."""
    rows: list[Row] = [our_row(task, n, n / 4) for task in range(40) for n in range(4)]
    rows += [gym_row(None, None, n / 4, f"{n}", prompt_text=f"free {group}") for group in range(25) for n in range(3)]
    random.Random(5).shuffle(rows)
    source = write_rows(tmp_path / "r.jsonl", *rows)
    wanted = build_pairs(source, tmp_path / "wanted.jsonl")
    spilled = []
    leave = OffsetIndex.__exit__

    def watched(index: OffsetIndex, *error: object) -> None:
        spilled.append(index.spilled)
        leave(index, None, None, None)

    monkeypatch.setattr(OffsetIndex, "__exit__", watched)
    monkeypatch.setattr("pairing.reading.sorted_rows._CHUNK", chunk)
    monkeypatch.setattr("pairing.reading.sorted_rows._PART", 5)
    monkeypatch.setattr("pairing.build.MEBIBYTE", 0)
    got = build_pairs(source, tmp_path / "got.jsonl")
    assert (tmp_path / "got.jsonl").read_bytes() == (tmp_path / "wanted.jsonl").read_bytes()
    assert spilled == [True]
    assert (got.passes, got.pairs) == (2, wanted.pairs)
