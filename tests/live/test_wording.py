"""The bar, the lines below it and the plain line: what they say, and that they fit."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.live.rates import Pace
from collector.live.tally import Tally
from collector.live.wording import bar_line, plain_line, status_lines
from collector.observer import RunView
from collector.settings import CollectSettings
from tests.live.parts import View, load, reply, row, task, verdict

PACE = Pace(elapsed=62.0, rollouts=4.2, settled=4.4, tokens=12_345.0)


def tally(view: RunView, *, resumed: int = 0, done: int = 3, tasks: int = 800) -> Tally:
    """A run of 200 prompts, 4 rollouts each, of which `done` prompts are finished with a usable pair."""
    counted = Tally()
    settings = CollectSettings(input=Path("i"), output=Path("o"), base_url="http://h", verifier="numeric")
    counted.found(settings, 200)
    counted.started(resumed, tasks)
    counted.watching(view)
    for index in range(done):
        for repeat in range(4):
            counted.rollout(task(index, repeat), reply(100), verdict(float(repeat % 2)))
    return counted


def test_in_a_terminal_of_80_columns() -> None:
    """All of it, in words that fit."""
    counted = tally(View(32, retries={"http_500": 12}, load=load(2)))
    assert (
        bar_line(counted, PACE, 79) == "Rollouts:   1%|▎                | 12/800 [01:02<02:59,  4.20it/s, reward=0.500]"
    )
    assert status_lines(counted, PACE, 79) == [
        "  in flight 32/32, 2 waiting | 12.3k tok/s, 1.2k tok | 12 retried",
        "  usable pairs 3 of 3 prompts (100%), about 200 of 200 at the end (88-200)",
    ]


def test_a_hundred_percent_are_all_of_them() -> None:
    """Where one is missing at the end the bar does not say 100%, however little it is."""
    assert "99%" in bar_line(tally(View(), done=249, tasks=1000), PACE, 79)
    assert "100%" in bar_line(tally(View(), done=250, tasks=1000), PACE, 30)
    assert "99%" in bar_line(tally(View(), done=249, tasks=997), PACE, 30)


def test_the_plain_line_stands_for_itself() -> None:
    """The same in one line; at the end what it came to."""
    counted = tally(View(32, load=load(2)))
    assert plain_line(counted, PACE) == (
        "Collecting rollouts:   1% 12/800 02:59 left, 4.2/s | in flight 32/32, 2 waiting | 12.3k tok/s, 1.2k tok"
        " | usable pairs 3 of 3 prompts (100%), about 200 of 200 at the end (88-200) | reward=0.500"
    )
    counted = tally(View(), done=200)
    assert plain_line(counted, PACE, over=True) == (
        "Collecting rollouts: 100% 800/800 in 01:02, 4.2/s | 12.3k tok/s, 80k tok"
        " | usable pairs 200 of 200 prompts (100%) | reward=0.500"
    )


@pytest.mark.parametrize("width", [*range(1, 130, 7), 79, 199])
@pytest.mark.parametrize("tasks", [800, 4_000_000])
def test_no_line_is_longer_than_there_is_room(width: int, tasks: int) -> None:
    """At any width, with large numbers too: less is said."""
    counted = tally(View(60_000, 60_000, retries={"x": 10**9}, load=load(1e9)), tasks=tasks)
    assert len(bar_line(counted, Pace(1e6, 1e-7, 1e-7, 1e12), width)) <= width
    for line in status_lines(counted, Pace(1e6, 1e5, 1e5, 1e12), width):
        assert len(line) <= width


def test_what_is_not_known_is_not_said() -> None:
    """No view, no usage, no reward, no finished prompt: the lines are not there, and nothing stands for zero."""
    counted = Tally()
    counted.started(0, 10)
    assert status_lines(counted, Pace(0.0), 79) == []
    assert plain_line(counted, Pace(0.0)) == "Collecting rollouts:   0% 0/10 ? left, ?/s"


def test_an_old_load_is_no_news() -> None:
    """What a server said 20 seconds ago is not shown as now."""
    counted = tally(View(32, load=load(2, age=20.0)))
    assert "waiting" not in plain_line(counted, PACE)


def test_a_resumed_run_tells_what_is_new() -> None:
    """Rollouts of before stand in the bar; rate, pairs and rewards are of the new ones and said to be, or left out."""
    counted = tally(View(32), resumed=400)
    line = plain_line(counted, PACE)
    assert "51% 412/800" in line
    assert "usable pairs 3 of 3 new prompts" in line
    assert "reward" not in line
    assert "01:28 left" in line


def test_fewer_tasks_shorten_the_run() -> None:
    """Early stop takes tasks away: the total and the time left follow."""
    counted = tally(View(32))
    counted.fewer(row(7), 3)
    assert "12/797" in bar_line(counted, PACE, 79)
    assert counted.left == 785
    assert "3 spared" in plain_line(counted, PACE)


def test_tokens_of_samples_that_share_a_request_are_counted_once() -> None:
    """Three samples came with 100 output tokens together: 100 in all, not 300."""
    counted = tally(View(), done=0)
    for repeat in range(3):
        counted.rollout(task(0, repeat), reply(100, samples=3), verdict(1.0))
    assert (counted.output_tokens, counted.input_tokens) == (100, 200)
