"""The watcher on its streams: what a terminal shows, what a file holds, how often, and that nothing hostile gets in."""

from __future__ import annotations

import io
from pathlib import Path

import anyio
import pytest

from collector.adaptive.changes import LimitChange
from collector.errors import RolloutError
from collector.live import LiveObserver, Watch
from collector.live.displays import Lines
from collector.live.ticker import Ticker
from collector.settings import CollectSettings
from tests.live.parts import Terminal, View, load, reply, task, verdict
from tests.runs import until

EVIL = "bad \x1b[2J\x1b]0;title\x07 \u202e reply\r\nsecond line\x07"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def started(err: io.StringIO, progress: str = "auto", clock: Clock | None = None) -> LiveObserver:
    observer = LiveObserver(Watch(progress), out=io.StringIO(), err=err, clock=clock or Clock())
    settings = CollectSettings(input=Path("i"), output=Path("o"), base_url="http://h", verifier="numeric")
    observer.found(settings, 2, 8)
    observer.started(0, 8)
    observer.watching(View(8, load=load(3)))
    return observer


def collected(observer: LiveObserver, prompts: int = 2) -> None:
    for index in range(prompts):
        for repeat in range(4):
            observer.rollout(task(index, repeat), reply(100), verdict(float(repeat % 2)))


@pytest.mark.parametrize(("gap", "wanted"), [(None, "from 2 to 8!"), (0.5, "from 2 to up to 8!")])
def test_early_stop_promises_no_number_of_rows(gap: float | None, wanted: str) -> None:
    """It may leave some of them out; a fixed run never does."""
    out = io.StringIO()
    settings = CollectSettings(
        input=Path("i"),
        output=Path("o"),
        base_url="http://h",
        verifier="numeric",
        num_repeats=4,
        temperatures=(0.8,),
        until_gap=gap,
    )
    LiveObserver(Watch("off"), out=out, err=io.StringIO()).found(settings, 2, 8)
    assert wanted in out.getvalue()


def test_a_terminal_has_the_bar_and_its_lines_and_at_the_end_the_bar_alone() -> None:
    """Messages stay above; between two drawings the cursor stands at the start of the bar."""
    terminal, clock = Terminal(), Clock()
    observer = started(terminal, clock=clock)
    collected(observer, 1)
    clock.now += 2
    observer._tick()
    assert (terminal.row, terminal.column) == (0, 0)
    observer.note("a note")
    collected(observer, 1)
    observer._tick()
    assert len(terminal.shown) == 4
    assert terminal.shown[0] == "note: a note"
    assert terminal.shown[1].startswith("Collecting rollouts: 100%|")
    assert terminal.shown[2].startswith("  in flight 8/32, 3 waiting | 400 tok/s, 800 tok")
    assert terminal.shown[3].startswith("  usable pairs 2 of 2 prompts (100%)")
    observer.ended()
    assert [line[:24] for line in terminal.shown] == ["note: a note", "Collecting rollouts: 100", ""]


def test_hostile_text_reaches_the_terminal_as_plain_text() -> None:
    """The words of a server, of a model in an error, of a reason: one line each, nothing that draws."""
    terminal = Terminal()
    observer = started(terminal)
    observer.failed(task(0), RolloutError(EVIL))
    observer.note(EVIL)
    observer.limit_changed(LimitChange(0.0, EVIL, 1, 2, EVIL))
    observer._tick()
    assert terminal.shown[:2] == ["failed (row 1, repeat 0): bad reply second line", "note: bad reply second line"]
    file = io.StringIO()
    observer = started(file)
    observer.limit_changed(LimitChange(0.0, "http://h" + EVIL, 32, 48, EVIL))
    observer._tick()
    assert "http://hbad reply second line: 48 requests in flight, after 32: bad reply second line\n" in file.getvalue()
    assert all(char.isprintable() or char == "\n" for char in file.getvalue())


def test_a_file_gets_whole_lines_and_no_carriage_return() -> None:
    """Each line stands for itself; the last tells what the run came to."""
    file = io.StringIO()
    observer = started(file)
    collected(observer)
    observer._tick()
    observer.ended()
    first, last = file.getvalue().splitlines()
    assert first.startswith("Collecting rollouts: 100% 8/8 00:00 left")
    assert last.startswith("Collecting rollouts: 100% 8/8 in 00:00")
    assert "\r" not in file.getvalue()
    assert "\x1b" not in file.getvalue()


def test_lines_come_seldom_and_changes_of_the_limit_with_them() -> None:
    """The first after 10 seconds, then every 30; of many changes in between the last."""
    assert (Lines.first, Lines.every) == (10.0, 30.0)
    file = io.StringIO()
    observer = started(file)
    for limit in range(33, 133):
        observer.limit_changed(LimitChange(0.0, "http://h", limit - 1, limit, "room"))
    assert file.getvalue() == ""
    observer._tick()
    observer._tick()
    lines = file.getvalue().splitlines()
    assert lines[0] == "http://h: 132 requests in flight, after 131: room"
    assert [line[:19] for line in lines[1:]] == ["Collecting rollouts"] * 2


def test_off_shows_messages_alone() -> None:
    """A failure and a note are told, no bar, no line."""
    terminal = Terminal()
    observer = started(terminal, "off")
    observer.note("a note")
    collected(observer)
    observer._tick()
    observer.ended()
    assert terminal.shown == ["note: a note", ""]


@pytest.mark.parametrize(
    ("progress", "stream", "wants"),
    [("auto", Terminal, True), ("auto", io.StringIO, False), ("plain", Terminal, False), ("bar", io.StringIO, True)],
)
def test_servers_are_asked_for_their_load_only_where_it_is_shown(
    progress: str, stream: type[io.StringIO], wants: bool
) -> None:
    """In a terminal's bar, and for metrics; a log's line needs no request a second."""
    assert LiveObserver(Watch(progress), err=stream()).wants_load is wants
    assert LiveObserver(Watch(progress, metrics_port=0), err=stream()).wants_load


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot draw over what it has."""
    monkeypatch.setenv("TERM", "dumb")
    terminal = Terminal()
    observer = started(terminal)
    observer.ended()
    assert terminal.shown[0].startswith("Collecting rollouts:   0% 0/8 in 00:00")


def test_rollouts_draw_nothing_themselves() -> None:
    """However many come: drawing is the ticker's, five times a second."""
    terminal = Terminal()
    observer = started(terminal)
    before = len(terminal.written)
    collected(observer, 500)
    assert len(terminal.written) == before


async def test_the_ticker_goes_on_until_it_is_stopped() -> None:
    """Then never again."""
    ticks: list[int] = []
    ticker = Ticker(lambda: ticks.append(1), 0.0, 0.001)
    await until(lambda: len(ticks) > 3)
    ticker.stop()
    count = len(ticks)
    await anyio.sleep(0.01)
    assert len(ticks) == count
