"""The diagnosis: each finding with its numbers and the flag that changes it, and nothing found in a good run."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from pairing.reading.files import input_files
from pairing.settings import PairSettings
from pairing.stats.diagnosis import Check, checks, usual_unique
from pairing.stats.gather import Asked, gather
from pairing.stats.render import render_stats
from tests.pairing.make import Row, our_row, write_rows


def report_of(tmp_path: Path, rows: list[Row], **settings: Any) -> Any:
    path = write_rows(tmp_path / "r.jsonl", *rows)
    return gather(input_files([path]), PairSettings(**settings), Asked())


def check(found: list[Check], beginning: str) -> Check:
    (one,) = [each for each in found if each.name.startswith(beginning)]
    return one


@pytest.mark.parametrize(
    ("temperature", "wanted"),
    [
        (0.0, (0.3, 0.5)),
        (0.2, (0.3, 0.5)),
        (0.5, (0.6, 0.8)),
        (0.7, (0.725, 0.875)),
        (0.9, (0.85, 0.95)),
        (2, (0.85, 0.95)),
    ],
)
def test_usual_variety_by_temperature(temperature: float, wanted: tuple[float, float]) -> None:
    """The three points of the page, halfway between two of them, and its ends beyond."""
    assert usual_unique(temperature) == pytest.approx(wanted)


def test_more_heat_is_never_less_variety() -> None:
    """What is usual only rises with the temperature."""
    found = [usual_unique(n / 20) for n in range(30)]
    assert all(one[0] <= other[0] and one[1] <= other[1] for one, other in pairwise(found))


def test_a_good_run_has_no_finding(tmp_path: Path) -> None:
    """Seven prompts of ten give a pair of gap 0.3, the answers differ, and neither side is the longer one."""
    rows = [
        our_row(task, n, 0.4 + 0.3 * (n % 2) * (task % 10 < 7), text=f"{'abc' * ((task + n) % 2 + 1)} {n} {task}")
        for task in range(60)
        for n in range(2)
    ]
    found = checks(report_of(tmp_path, rows))
    assert {each.verdict for each in found} == {"ok"}
    assert {"prompts with a pair", "mean gap", "chosen longer (unequal)", "truncated answers"} <= {
        each.name for each in found
    }


def test_few_pairs_name_their_reasons(tmp_path: Path) -> None:
    """Where prompts give no pair, the reasons that took a tenth of them are told with their counts."""
    rewards = [(0, 0)] * 12 + [(0.5, 0.6)] * 7 + [(0, 1)] * 40
    rows = [our_row(task, n, reward) for task, pair in enumerate(rewards * 1) for n, reward in enumerate(pair)]
    found = check(checks(report_of(tmp_path, rows, min_gap=0.15)), "prompts with a pair")
    assert found.verdict == "ok"
    assert found.notes == (
        "12 of 59: all usable rewards are equal (all_equal)",
        "7 of 59: best and worst are closer than the minimum gap (gap_below_min)",
    )


@pytest.mark.parametrize(("heat", "advice"), [(0.2, "raise --temperature (0.8)"), (0.9, "more --num-repeats")])
def test_answers_too_alike_for_their_temperature(tmp_path: Path, heat: float, advice: str) -> None:
    """One answer four times: 25% unique is low anywhere; more heat helps where there is little."""
    params = {"input": [{"role": "user", "content": "Why?"}], "temperature": heat}
    rows = [
        our_row(t, n, n % 2, text="same", prompt_id=f"{t:016x}", responses_create_params=params)
        for t in range(9)
        for n in range(4)
    ]
    found = check(checks(report_of(tmp_path, rows)), "unique answers")
    assert (found.here, found.verdict) == ("25%", "low")
    assert "4 answers a prompt" in found.notes[0]
    assert found.notes[1].startswith(advice)


@pytest.mark.parametrize(
    ("reward", "name", "flag"), [(1.0, "saturated", "--write-saturated"), (0.0, "hopeless", "--write-hopeless")]
)
def test_prompts_that_teach_nothing(tmp_path: Path, reward: float, name: str, flag: str) -> None:
    """A third of the prompts always right, or always wrong: counted, and the flag that lists them named."""
    rows = [our_row(t, n, reward if t % 3 == 0 else n) for t in range(9) for n in range(2)]
    found = check(checks(report_of(tmp_path, rows)), name)
    assert (found.here, found.verdict) == ("33.3%", "high")
    assert "3 of 9 prompts" in found.notes[0]
    assert flag in found.notes[1]


@pytest.mark.parametrize(
    ("longer", "verdict", "flags"),
    [(1, "high", "--max-length-ratio 1.5 or --strategy length_matched"), (0, "low", "--min-length-ratio 0.67")],
)
def test_length_bias_is_told_both_ways(tmp_path: Path, longer: int, verdict: str, flags: str) -> None:
    """All chosen answers longer, or all shorter: the counts, the mean lengths, the flags."""
    rows = [our_row(t, n, n, text="word " * (3 if n == longer else 1) + str(t)) for t in range(30) for n in range(2)]
    found = checks(report_of(tmp_path, rows))
    preference = check(found, "chosen longer")
    assert preference.verdict == verdict
    assert f"{30 * longer} of 30 pairs" in preference.notes[0]
    assert flags in preference.notes[1]
    assert check(found, "reward with length").verdict == verdict


def test_a_handful_of_pairs_shows_no_bias(tmp_path: Path) -> None:
    """Of five pairs nothing can be said about length."""
    rows = [our_row(t, n, n, text="word " * (n + 1)) for t in range(5) for n in range(2)]
    assert not [each for each in checks(report_of(tmp_path, rows)) if each.name.startswith("chosen longer")]


def test_cut_rejected_sides(tmp_path: Path) -> None:
    """When the rejected side is the one that was cut, the trainer learns to end; the flag leaves them out."""
    rows = [our_row(t, n, n, finish_reason="stop" if n else "length") for t in range(9) for n in range(2)]
    found = check(checks(report_of(tmp_path, rows)), "truncated, rejected")
    assert "100% of 9 rejected sides" in found.notes[0]
    assert "--truncated-rejected drop" in found.notes[0]


def test_the_hints_of_pairing_follow(tmp_path: Path) -> None:
    """What `pairmill pair` would advise stands under the evidence, once."""
    rows = [our_row(t, n, 0.0) for t in range(9) for n in range(4)]
    text = render_stats(report_of(tmp_path, rows))
    assert text.count("hint: ") == 1
    assert "No answer scored above 0" in text


@pytest.mark.parametrize("scale", [10, -1])
def test_other_scales_have_no_usual_gap(tmp_path: Path, scale: float) -> None:
    """The page's 0.2-0.4 is of rewards from 0 to 1."""
    rows = [our_row(t, n, n * scale) for t in range(9) for n in range(2)]
    assert "mean gap" not in {each.name for each in checks(report_of(tmp_path, rows))}
