"""Records put together from a row's own bytes are those that the general way gives."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pairing import build_pairs
from pairing.formats import get_format
from pairing.formats.trl import Trl
from pairing.pairs import Pair
from tests.pairing.make import our_row, read_rows

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


class General(Trl):
    """TRL's record without its short cut."""

    def record(self, pair: Pair) -> dict[str, Any]:
        return self.whole(pair)


def paired(folder: Path, lines: list[bytes], format: Any) -> bytes:
    (folder / "r.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    build_pairs(folder / "r.jsonl", folder / "pairs.jsonl", format=format, overwrite=True)
    return (folder / "pairs.jsonl").read_bytes()


@settings(max_examples=200, deadline=None)
@given(prompt=TEXT, chosen=TEXT, rejected=TEXT)
def test_the_short_cut_gives_the_bytes_of_the_long_way(prompt: str, chosen: str, rejected: str) -> None:
    """For rows as the collector writes them, whatever they say."""
    texts = (rejected, chosen)
    lines = [orjson.dumps(our_row(0, n, float(n), texts[n], prompt_text=prompt)) for n in (0, 1)]
    with tempfile.TemporaryDirectory() as folder:
        short = paired(Path(folder), lines, get_format("trl"))
        assert short == paired(Path(folder), lines, General())


@settings(max_examples=100, deadline=None)
@given(prompt=TEXT, chosen=TEXT, rejected=TEXT)
def test_other_writers_bytes_say_the_same(prompt: str, chosen: str, rejected: str) -> None:
    """Rows with other escapes and spaces keep them, and mean the same."""
    texts = (rejected, chosen)
    rows = [our_row(0, n, float(n), texts[n], prompt_text=prompt) for n in (0, 1)]
    lines = [json.dumps(row, separators=(",", ":")).replace("/", "\\/").encode() for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        short = paired(Path(folder), lines, get_format("trl")).splitlines()
        assert [json.loads(line) for line in short] == [
            json.loads(line) for line in paired(Path(folder), lines, General()).splitlines()
        ]


@pytest.mark.parametrize(
    "output",
    [
        '[{"role":"user","content":"a","role":"assistant"}]',
        '[{"role":"assistant","content":"a","content":"b"}]',
        '[{"role":"assistant","content":"a"},{"role":"assistant","content":"b"}]',
        '[{"role":"assistant","content":"a","refusal":"b"}]',
        '[{"role":"assistant","content":"half \\ud83d"}]',
        '[{"role":"assistant","content": "spaced"}]',
    ],
)
def test_what_is_not_plain_takes_the_long_way(tmp_path: Path, output: str) -> None:
    """Keys twice, several messages, further keys, halves of characters: nothing of it is copied unread."""
    rows = [json.dumps(our_row(0, n, float(n), "text", output="OUTPUT")) for n in (0, 1)]
    other = '[{"role":"assistant","content":"other"}]'
    lines = [rows[0].replace('"OUTPUT"', other).encode(), rows[1].replace('"OUTPUT"', output).encode()]
    short = paired(tmp_path, lines, get_format("trl"))
    assert short == paired(tmp_path, lines, General())
    assert len(read_rows(tmp_path / "pairs.jsonl")) == 1
    assert short.count(b'"content"') == 1 + 1 + len(json.loads(short)["chosen"])
