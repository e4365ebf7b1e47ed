"""Following a run, whatever the order, the pieces and the kills: the bytes are those of an offline run, and until then
live pairs are only ever added."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from pairing import PairReport, PairSettings
from pairing.build import write_pairs
from pairing.follow import Follower
from pairing.follow.live_pairs import live_paths
from tests.pairing.live_run import LiveRun
from tests.pairing.make import Row, gym_row, our_row
from tests.pairing.test_formats import tool_rows
from tests.pairing.test_workers import rounded

TRL = PairSettings()
KINDS = st.sampled_from(
    [
        TRL,
        PairSettings(format="trl-kto"),
        PairSettings(format="recipe"),
        PairSettings(format="axolotl"),
        PairSettings(validation=0.4, strategy="best_random:n=2", min_gap=0.0),
    ]
)
SHAPES = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([our_row, gym_row]), st.sampled_from(["plain", "é\n", "tools"])),
    min_size=1,
    max_size=8,
)


def rows_of(shapes: list[tuple[int, object, str]]) -> list[Row]:
    """The rows of each task: two, or fewer where rollouts failed."""
    rows: list[Row] = []
    for task, (count, make, kind) in enumerate(shapes):
        made = [make(task, n, (task * 3 + n * 2) % 5 / 4, f"{kind} {n}") for n in range(2)]  # type: ignore[operator]
        made = tool_rows(task)[:2] if kind == "tools" else made
        rows += made if count == 3 else made[:count]
    return rows


def live_bytes(output: Path, how: PairSettings) -> list[bytes]:
    return [path.read_bytes() if path.exists() else b"" for path in live_paths(output, how)]


def assert_only_grew(before: list[bytes], now: list[bytes]) -> None:
    for old, new in zip(before, now, strict=True):
        assert new.startswith(old)
        assert new == b"" or new.endswith(b"\n")


def without_copies(report: PairReport, folder: Path) -> PairReport:
    """The report with the names of its files alone, and without the last digits of its means."""
    outputs = tuple(Path(path.name) for path in report.outputs)
    return replace(rounded(report), outputs=outputs, beside=(), output=folder)


@settings(max_examples=150, deadline=None)
@given(shapes=SHAPES, how=KINDS, data=st.data())
def test_the_bytes_are_those_of_an_offline_run(
    shapes: list[tuple[int, object, str]], how: PairSettings, data: st.DataObject
) -> None:
    """Rows in any order, read in any pieces, torn anywhere; the follower killed at any point, its live file torn as
    well: the output and the report are those of the sealed file, and until then live pairs are only ever added."""
    rows = data.draw(st.permutations(rows_of(shapes)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run, output = LiveRun(folder), folder / "pairs.jsonl"
        run.begin()
        follower = Follower(run.paths.rollouts, output, how)
        before = live_bytes(output, how)
        for row in rows:
            run.write(row)
            what = data.draw(st.sampled_from(["nothing", "step", "kill", "torn"]))
            if what != "nothing":
                assert follower.step(run.file) is None
                now = live_bytes(output, how)
                assert_only_grew(before, now)
                before = now
            if what in ("kill", "torn"):
                follower.close()
                if what == "torn":
                    with live_paths(output, how)[0].open("ab") as file:
                        file.write(b'{"half')
                follower = Follower(run.paths.rollouts, output, how)
        in_time = data.draw(st.booleans())
        if in_time:
            follower.step(run.file)
        run.finish(len(shapes))
        follower.step(run.file)
        report = follower.finish(run.file, overwrite=False)
        follower.close()
        offline = write_pairs([run.paths.rollouts], folder / "offline.jsonl", how, False)
        assert follower.by_live or not in_time
        assert [path.read_bytes() for path in report.outputs] == [path.read_bytes() for path in offline.outputs]
        assert not any(path.exists() for path in live_paths(output, how))
    named = tuple(Path(path.name.replace("offline", "pairs")) for path in offline.outputs)
    assert without_copies(report, folder) == replace(without_copies(offline, folder), outputs=named)
