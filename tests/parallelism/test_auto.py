"""The limit that finds itself, beside the fixed levels: its share of the best, its plots, and real trials of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from collector.embedded.process import EmbeddedServer
from collector.embedded.tasks import prompt_rows
from collector.options import parser
from collector.parallelism import sweep
from collector.parallelism.auto import AutoTrial, kind_of
from collector.parallelism.records import AUTO, LimitPath, RequestRecord, TrialRecord
from collector.parallelism.report import report_files, terminal_text
from collector.parallelism.report.timeline import Line, Note, Timeline, draw_timeline
from collector.parallelism.summary import Summary, summarise
from collector.parallelism.trial import AUTO_MOST
from collector.stopping import StopSwitch
from tests.model_server import ModelServer
from tests.parallelism.made_up import REPEATS, WINDOW, requests, trial
from tests.parallelism.sweeps import Kept, settings, summary_in, swept
from tests.parallelism.test_report import NASTY, Page
from tests.runs import prompts

PATH = LimitPath(
    steps=((0.0, 32, "start"), (0.5, 131, "slow start"), (3.0, 65, "66 waiting, 64 running"), (6.0, 68, "room")),
    loads=((1.0, 30.0, 0.0), (2.0, 64.0, 66.0), (5.0, 64.0, 3.0)),
)


class StopsAtAuto(Kept):
    """Throws the switch when auto's trial begins."""

    def __init__(self, stop: StopSwitch) -> None:
        super().__init__(stop)
        self._switch = stop

    def began(self, part: int, level: int) -> None:
        if level == AUTO:
            self._switch.throw()


def with_auto(
    rate: float, path: LimitPath = PATH, passes: int = 2, pace: Callable[[int], float] = lambda _: 1.0, **changes: Any
) -> Summary:
    """A sweep whose best level, 64, has 100 rollouts a second, and whose auto has `rate`; a pass has its `pace`."""
    rates = {8: 50.0, 64: 100.0, AUTO: rate}
    trials: list[TrialRecord] = []
    made: dict[int, list[RequestRecord]] = {}
    for part in range(1, passes + 1):
        for level, each in rates.items():
            given = {"auto": path, "in_flight": 66.0, "in_flight_max": 131, **changes} if level == AUTO else {}
            one = trial(len(trials) + 1, level, part, rollouts=int(each * pace(part) * WINDOW), **given)
            trials.append(one)
            made[one.trial] = requests(one, each * pace(part))

    def of(level: int) -> list[RequestRecord]:
        return [record for one in trials if one.level == level for record in made[one.trial]]

    facts = {"model": "made-up", "cache": "salt", "prompts": 100}
    return summarise(facts, trials, of, lambda _: REPEATS, seed=0, paired=True)


def test_auto_is_held_against_the_best_fixed_level() -> None:
    """Its share with an interval around it; it is no level itself: knees, tests and the setting to use leave it out."""
    found = with_auto(95.0)
    assert [figures.level for figures in found.levels] == [8, 64]
    assert found.recommendation is not None
    assert found.recommendation.level == 64
    auto = found.auto
    assert auto is not None
    assert auto.share is not None
    assert auto.best == 64
    assert auto.best_per_s == pytest.approx(100.0, rel=0.01)
    assert auto.share.value == pytest.approx(0.95, rel=0.01)
    assert auto.share.low <= auto.share.value <= auto.share.high
    assert auto.start_share == pytest.approx(0.95, rel=0.02)
    assert not {"auto_below", "auto_blind", "auto_unsettled"} & {flag.name for flag in found.flags}


def test_a_machine_that_changes_between_passes_changes_both() -> None:
    """Half the speed in every other pass, and auto at 95% in each: the share is sure all the same."""
    found = with_auto(95.0, passes=6, pace=lambda part: 0.5 if part % 2 else 1.0).auto
    assert found is not None
    assert found.share is not None
    assert found.share.high - found.share.low < 0.03
    best = found.figures.rollouts_per_s
    assert (best.high - best.low) / best.value > 0.2


@pytest.mark.parametrize(
    ("rate", "changes", "flag"),
    [(70.0, {}, "auto_below"), (95.0, {"load": None}, "auto_blind"), (95.0, {"enough": False}, "auto_unsettled")],
)
def test_what_stands_against_auto_is_told(rate: float, changes: dict[str, Any], flag: str) -> None:
    """Under nine tenths of the best level, a server without a queue to see, trials that were too short; none of these
    ends the command with another code."""
    found = with_auto(rate, **changes)
    assert flag in {each.name for each in found.flags}
    assert found.grave == ()


def test_the_limit_in_the_window_is_weighed_by_time() -> None:
    """From 5 s to 10 s of the trial: one second of 65, four of 68."""
    assert AutoTrial(1, 5.0, 10.0, PATH).settled == pytest.approx((65 + 4 * 68) / 5)


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("slow start", "slow start"),
        ("room", "growth"),
        ("17 waiting, 64 running", "queue"),
        ("3 preempted", "preemption"),
        ("cache 98% full", "cache"),
        ("refused", "refusal"),
        ("a token takes 1.8 times as long", "latency"),
    ],
)
def test_each_reason_of_the_controller_has_a_word(reason: str, kind: str) -> None:
    """The word stands on the plot."""
    assert kind_of(reason) == kind


def test_all_reports_show_auto(tmp_path: Path) -> None:
    """The share, the row of the table, the plots with reasons and the server's waiting; the last line of the terminal
    is the setting all the same."""
    found = with_auto(95.0)
    files = {name: content.decode() for name, content in report_files(found).items()}
    said = terminal_text(found, tmp_path)
    for text in (files["report.html"], files["report.md"], said):
        assert "95% of the best fixed level" in text
        assert "32 to 131" in text
    assert said.splitlines()[-1] == "--num-samples-in-parallel 64"
    assert any(line.strip().startswith("auto ") for line in said.splitlines())
    assert "\n| auto |" in files["report.md"]
    assert "auto" not in files["levels.csv"]
    html = files["report.html"]
    assert Page(html).open == []
    assert html.count("the limit over time") == 2 * len(found.auto.trials if found.auto else ())
    for word in (">queue</text>", "66 waiting, 64 running", ">waiting</text>"):
        assert word in html
    assert "▁" in said
    assert terminal_text(found, tmp_path, "ascii").isascii()


def test_of_many_passes_some_are_drawn() -> None:
    """A page of a hundred passes has six plots of auto."""
    html = report_files(with_auto(95.0, passes=9))["report.html"].decode()
    assert [part for part in range(1, 10) if f"Auto&#39;s limit, pass {part}" in html] == [1, 2, 3, 7, 8, 9]


@pytest.mark.parametrize("end", [0.0, 0.2, 10.0, 86400.0])
def test_a_timeline_is_drawn_inside_its_frame(end: float) -> None:
    """However short or long, with one point or many, and with hostile words: well-formed, nothing outside."""
    points = [(end * place / 50, float(place % 7 * 40)) for place in range(50)]
    notes = [Note(at, value, NASTY, NASTY) for at, value in points]
    lines = [Line(NASTY, points, 1), Line("waiting", [(0.0, 0.0)], 2)]
    drawn = draw_timeline(Timeline(NASTY, "requests", lines, notes, end, (0.2 * end, end)))
    root = ElementTree.fromstring(drawn)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert len(list(root.iter("circle"))) == len(notes)
    assert all(0 <= float(dot.attrib["cx"]) <= width for dot in root.iter("circle"))
    assert all(0 <= float(word.attrib["y"]) <= height for word in root.iter("text"))
    assert "<script>" not in drawn


async def test_a_resumed_sweep_may_add_auto(tmp_path: Path) -> None:
    """The levels that are there stay; auto's trial is made with the run's own controller, from 32 on, kept with its
    limit over time and the server's word, and leaves no other file."""
    bundled = {"input": prompt_rows("train"), "verifier": "embedded", "params": {"temperature": 0.8}}
    async with EmbeddedServer() as server:
        given = settings(tmp_path, server.base_url, bundled, levels=(4, 16))
        await swept(given)
        again = replace(given, collect=replace(given.collect, resume=True), auto=True, auto_settle=0.5)
        done, kept = await swept(again)
    assert [each.level for each in kept.trials] == [AUTO]
    auto = done.summary.auto if done.summary else None
    assert auto is not None
    assert auto.share is not None
    path = auto.trials[0].path
    assert path.steps[0] == (0.0, 32, "start")
    assert path.loads
    stored = summary_in(done.folder)
    assert [each["level"] for each in stored["trials"]][-1] == AUTO
    assert stored["auto"]["best_level"] in (4, 16)
    names = {each.name for each in done.folder.iterdir()}
    assert names == {"requests.jsonl", "summary.json", "levels.csv", "report.md", "report.html"}


async def test_an_interrupted_trial_of_auto_leaves_nothing(tmp_path: Path) -> None:
    """Stopped when it has just begun: it counts for nothing, and no scratch file stays."""
    prompts(tmp_path / "in.jsonl", 4)
    stop = StopSwitch()
    with ModelServer(latency=(0.002, 0.004)).serving() as server:
        given = settings(tmp_path, server.url, levels=(1,), auto=True)
        done = await sweep(given, watcher=StopsAtAuto(stop), stop=stop)
    assert done.summary is None
    kept = {each.name for each in done.folder.iterdir()}
    assert kept <= {"requests.jsonl", "summary.json"}
    assert not kept or AUTO not in [each["level"] for each in summary_in(done.folder)["trials"]]


def test_the_most_of_auto_is_the_runs() -> None:
    """Written down twice, so that the sweep need not import the flags."""
    assert AUTO_MOST == parser._AUTO_MOST
