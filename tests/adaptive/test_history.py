"""The limits of a run over time: read back from the log, drawn in one line; metrics that stop are told of."""

from __future__ import annotations

from pathlib import Path

import httpx
import orjson
import pytest

from collector.adaptive.history import Step, limit_line, read_steps
from collector.adaptive.steering import Steering
from collector.endpoints import open_endpoints
from collector.protocols import get_protocol
from tests.adaptive.test_auto_runs import Batch
from tests.adaptive.test_auto_runs import settings as settings_of
from tests.runs import Notes


def log_of(path: Path, *lines: tuple[float, str, int, int, str]) -> Path:
    names = ("seconds", "endpoint", "old", "new", "reason")
    path.write_bytes(b"".join(orjson.dumps(dict(zip(names, line, strict=True))) + b"\n" for line in lines))
    return path


def test_the_limits_of_all_endpoints_are_added(tmp_path: Path) -> None:
    """Two servers: each step is their sum, never above the run's bound."""
    path = log_of(
        tmp_path / "l", (0, "a", 0, 16, "start"), (0, "b", 0, 16, "start"), (1, "a", 16, 40, "room"),
        (2, "b", 16, 90, "room"), (3, "a", 40, 5, "refused"),
    )  # fmt: skip
    found = [(step.at, step.limit, step.reason) for step in read_steps(path, 100)]
    assert found == [(0, 32, "start"), (1, 56, "room"), (2, 100, "room"), (3, 95, "refused")]


def test_of_a_resumed_run_the_last_part_is_read(tmp_path: Path) -> None:
    """Each part begins with its starts, and with seconds from 0; a part without a change counts as one too."""
    first = (0.0, "a", 0, 32, "start")
    path = log_of(tmp_path / "l", first, (9, "a", 32, 64, "room"), first, first, (1, "a", 32, 33, "room"))
    assert [(step.at, step.limit) for step in read_steps(path, 1000)] == [(0, 32), (1, 33)]


@pytest.mark.parametrize("content", [b"", b"null\n", b'{"seconds": 1, "endp', b'{"seconds":"x"}\n', b"\xff\xfe"])
def test_a_log_that_cannot_be_read_draws_nothing(tmp_path: Path, content: bytes) -> None:
    """The numbers stand alone then, as they do without a file."""
    path = tmp_path / "l"
    assert read_steps(path, 10) == []
    path.write_bytes(content)
    assert read_steps(path, 10) == []
    assert limit_line([], 5.0, "utf-8") == ""


def test_a_line_that_was_cut_in_two_costs_itself_alone(tmp_path: Path) -> None:
    """The others are drawn."""
    path = log_of(tmp_path / "l", (0, "a", 0, 32, "start"), (1, "a", 32, 64, "room"))
    path.write_bytes(path.read_bytes() + b'{"seconds": 2, "end')
    assert [step.limit for step in read_steps(path, 1000)] == [32, 64]


@pytest.mark.parametrize(
    ("encoding", "drawn"), [("utf-8", "▁" * 16 + "█" * 8 + "▄" * 8), ("ascii", "_" * 16 + "#" * 8 + "=" * 8)]
)
def test_the_line_shows_the_limit_by_time(encoding: str, drawn: str) -> None:
    """Each mark is as much time as another: half of it at the lowest, a quarter at the highest; plain marks where the
    terminal has no blocks."""
    steps = [Step(0.0, 32, "start"), Step(5.0, 102, "room"), Step(7.5, 67, "refused")]
    assert limit_line(steps, 10.0, encoding) == drawn


def test_a_limit_that_never_changed_is_not_drawn() -> None:
    """One number says it all."""
    assert limit_line([Step(0.0, 32, "start"), Step(1.0, 32, "room")], 10.0, "utf-8") == ""
    assert len(limit_line([Step(0.0, 32, "start"), Step(0.0, 33, "room")], 0.0, "utf-8")) == 32


async def test_metrics_that_stop_are_told_of_once_and_so_is_their_return(tmp_path: Path) -> None:
    """Replies go on coming without a reading for longer than 15 s: one note, and one when the metrics are back."""
    now, seen = [100.0], Notes()
    given = settings_of(tmp_path, 1)
    async with open_endpoints(given, get_protocol("chat"), httpx.MockTransport(Batch(slots=8)), seen) as endpoints:
        endpoint = endpoints.all[0]
        steering = Steering(given, endpoints, seen, lambda: None, clock=lambda: now[0])
        seen.notes.clear()
        for later in (0.0, 14.0, 2.0, 30.0):
            if later == 0.0:
                assert await steering.load.ask(endpoint.name)
            now[0] += later
            steering.completed(endpoint, 0.1, [])
        assert [note.partition(": ")[2] for note in seen.notes] == [
            "no metrics for 15 s, though it answers: its limit stays as it is"
        ]
        assert await steering.load.ask(endpoint.name)
        assert await steering.load.ask(endpoint.name)
        assert [note.partition(": ")[2] for note in seen.notes[1:]] == ["its metrics are back: the limit moves again"]
        steering.close()
