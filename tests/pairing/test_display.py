"""What the terminal shows: the funnel with every reason, a pair in two columns, and hints with their evidence."""

from __future__ import annotations

import re
import tempfile
import textwrap
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.terminal import plain
from pairing import PairReport, SamplePair, build_pairs, hints, render_funnel, side_by_side
from tests.pairing.make import ABSENT, Row, our_row, write_lines, write_rows


def report_of(tmp_path: Path, *rows: Row) -> PairReport:
    return build_pairs(write_rows(tmp_path / "r.jsonl", *rows), tmp_path / "pairs.jsonl", overwrite=True)


def sample(prompt: str, chosen: str, rejected: str) -> SamplePair:
    return SamplePair("ab" * 8, 0, prompt, chosen, rejected, 1.0, 0.25, 0.75)


def test_the_funnel_shows_every_reason_with_its_count(tmp_path: Path) -> None:
    """Stages with their counts, reasons under them with their meaning, broken lines by file and line."""
    rows = [our_row(0, 0, 1.0), our_row(0, 1, 0.0), our_row(1, 0, 1.0), our_row(1, 1, ABSENT)]
    source = write_rows(tmp_path / "r.jsonl", *rows)
    source.write_text(source.read_text() + "{torn\n" * 7)
    shown = render_funnel(build_pairs(source, tmp_path / "pairs.jsonl")).splitlines()
    assert [line.rstrip() for line in shown[:9]] == [
        "lines               11",
        "  - broken           7  not a JSON object in UTF-8",
        "rollouts             4",
        "  - no_reward        1  reward absent or null",
        "  usable             3  reward mean 0.667, std 0.471, 0 to 1",
        "prompts              2",
        "  - too_few_usable   1  fewer than 2 usable rollouts",
        "  with a pair        1  50.0% of prompts",
        "pairs                1  mean gap 1.000",
    ]
    assert shown[9].startswith(f"broken: {source}:5: not JSON")
    assert shown[-1] == "broken: and 2 more"


@settings(deadline=None)
@given(st.text(), st.text(), st.text(), st.integers(0, 160))
def test_side_by_side_is_safe_and_fits(prompt: str, chosen: str, rejected: str, width: int) -> None:
    """No character that steers a terminal comes through, and no line is wider than asked (60 at least)."""
    shown = side_by_side(sample(prompt, chosen, rejected), width)
    assert not {unicodedata.category(char) for char in shown.replace("\n", "")} & {"Cc", "Cf", "Cs", "Co"}
    for line in shown.split("\n"):
        columns = sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in line)
        assert columns <= max(width, 60)


@pytest.mark.parametrize("sort", [True, False])
def test_the_pair_shown_has_the_widest_gap(tmp_path: Path, sort: bool) -> None:
    """The first among equals, in task order, whatever the order of the lines."""
    rows = [our_row(task, n, best * n) for task, best in enumerate([0.2, 0.9, 0.5, 0.9]) for n in (0, 1)]
    shown = report_of(tmp_path, *(rows if sort else reversed(rows))).sample
    assert shown is not None
    assert (shown.task_index, shown.gap, shown.chosen) == (1, 0.9, "answer 1 to 1")


def test_duplicates_ask_whether_there_were_two_runs(tmp_path: Path) -> None:
    """Two runs over one input have the same indices: the later one stands, and the table says what to do."""
    for name, heat in (("a", 0.2), ("b", 0.9)):
        write_rows(tmp_path / f"{name}.jsonl", *at(heat, our_row(0, 0, 1.0), our_row(0, 1, 0.0)))
    shown = render_funnel(build_pairs([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], tmp_path / "pairs.jsonl"))
    wanted = "  - duplicates  2  a later attempt at the same rollout stands; two runs? pair each alone"
    assert wanted in shown.splitlines()


def test_side_by_side_shows_both_texts() -> None:
    """Prompt, rewards and both answers; a long answer is cut and says so."""
    shown = side_by_side(sample("Why?", "Because.", "word " * 500), 60)
    assert "Why?" in shown
    assert "chosen, reward 1 " in shown
    assert "rejected, reward 0.25" in shown
    assert "Because." in shown
    assert "[...]" in shown


@pytest.mark.parametrize("text", ["x" * 2_000_000, "word " * 400_000, "\n" * 2_000_000 + "end", "漢" * 600_000])
def test_a_giant_answer_is_cut_before_it_is_wrapped(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrapping takes time that grows with the square of an unbroken text: no more goes in than can be shown."""
    wrapped = 0
    wrap = textwrap.wrap

    def counted(part: str, width: int) -> list[str]:
        nonlocal wrapped
        wrapped += len(part)
        return wrap(part, width)

    monkeypatch.setattr(textwrap, "wrap", counted)
    shown = side_by_side(sample("p", text, "b"), 100)
    assert wrapped < 20_000
    assert len(shown.splitlines()) < 30
    assert ("[...]" in shown) is (text[-1] != "d")


def test_clean_takes_steering_characters_out() -> None:
    """Escape sequences, bells and text direction marks go; text, newlines and accents stay."""
    assert plain("\x1b[31mred\x07\u202e\r\nh\u00e9\tx", newlines=True) == "red\nh\u00e9    x"


def test_no_hint_when_all_is_well(tmp_path: Path) -> None:
    """Enough pairs of fair gaps need no advice."""
    rows = [our_row(task, n, 0.4 + 0.1 * n, f"text {n}") for task in range(5) for n in range(4)]
    assert hints(report_of(tmp_path, *rows)) == []


def test_alike_answers_ask_for_temperature_or_repeats(tmp_path: Path) -> None:
    """Equal rewards of equal texts: raise the temperature, with the numbers that say so."""
    rows = [our_row(task, n, 0.5, "same") for task in range(5) for n in range(4)]
    (hint,) = hints(report_of(tmp_path, *rows))
    assert hint.startswith("0 of 5 prompts give a pair (0%; 60-80% is usual): 5 with all rewards equal")
    assert "; all 4 answers of a prompt are the same. " in hint
    assert hint.endswith("The answers are too alike: try other prompts.")


def at(temperature: float, *rows: Row) -> list[Row]:
    for row in rows:
        row["responses_create_params"]["temperature"] = temperature
    return list(rows)


@pytest.mark.parametrize(
    ("temperature", "repeats", "advice"),
    [
        (0.1, 4, "The answers are too alike: raise --temperature (0.8; it was 0.1)."),
        (0.8, 2, "The answers are too alike: raise --num-repeats (4)."),
        (0.2, 2, "The answers are too alike: raise --temperature (0.8; it was 0.2) or --num-repeats (4)."),
    ],
)
def test_no_hint_asks_for_what_was_done(tmp_path: Path, temperature: float, repeats: int, advice: str) -> None:
    """The rows say how hot they were sampled and how often: only what is left to raise is named."""
    rows = [our_row(task, n, 0.5, "same") for task in range(5) for n in range(repeats)]
    (hint,) = hints(report_of(tmp_path, *at(temperature, *rows)))
    assert hint.endswith(advice)


@pytest.mark.parametrize(
    ("temperature", "advice"),
    [(1.6, "lower --temperature (0.6; it was 1.6), or give easier prompts"), (0.3, "give easier prompts")],
)
def test_poor_rewards_of_a_cool_run_do_not_ask_for_less(tmp_path: Path, temperature: float, advice: str) -> None:
    """Temperature is lowered from above 0.6 only."""
    rows = [our_row(task, n, 0.11 * n, f"t {n}") for task in range(5) for n in range(4)]
    (hint,) = hints(report_of(tmp_path, *at(temperature, *rows)))
    assert hint == f"The mean reward is 0.17: {advice}, or give --min-chosen-reward 0.3."


def test_a_ladder_of_temperatures_is_told_from_end_to_end(tmp_path: Path) -> None:
    """Its mean is a temperature that nothing was sampled at."""
    rows = [
        row for task in range(5) for n in range(4) for row in at(0.6 + 0.2 * n, our_row(task, n, 0.11 * n, f"t {n}"))
    ]
    (hint,) = hints(report_of(tmp_path, *rows))
    assert "lower --temperature (0.6; it was 0.6 to 1.2), or" in hint


REWARDS = st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.5, 1.0])


@settings(max_examples=150, deadline=None)
@given(
    rewards=st.lists(st.lists(REWARDS, min_size=2, max_size=5), min_size=1, max_size=6),
    heat=st.sampled_from([0.0, 0.5, 0.7, 0.8, 1.5]),
    texts=st.sampled_from(["same", "t{n}"]),
    end=st.sampled_from(["stop", "length"]),
)
def test_hints_never_contradict_each_other(rewards: list[list[float]], heat: float, texts: str, end: str) -> None:
    """Not warmer and cooler, nor harder and easier, in one output; a filter by reward leaves two different rewards."""
    rows = [
        our_row(task, n, reward, texts.format(n=n), finish_reason=end)
        for task, group in enumerate(rewards)
        for n, reward in enumerate(group)
    ]
    with tempfile.TemporaryDirectory() as folder:
        report = report_of(Path(folder), *at(heat, *rows))
    shown = " ".join(hints(report))
    assert not ("raise --temperature" in shown and "lower --temperature" in shown)
    assert not ("harder" in shown and "easier" in shown)
    assert not re.search(r"[ (]0 with", shown)
    if "reward >= 0.3" in shown:
        assert len({reward for group in rewards for reward in group}) > 2
        assert max(reward for group in rewards for reward in group) >= 0.3


@pytest.mark.parametrize(("bottom", "heat"), [(0.0, 0.2), (0.0, 1.0), (-1.0, 0.7)])
def test_when_nothing_scores_the_verifier_is_suspected(tmp_path: Path, bottom: float, heat: float) -> None:
    """One hint, with the end of one reply to compare; no advice on sampling."""
    long = "9" * 80
    rows = [our_row(task, n, bottom, f"step {n}\n\x1b[31mAnswer: {long}\n") for task in range(3) for n in range(4)]
    assert hints(report_of(tmp_path, *at(heat, *rows))) == [
        "No answer scored above 0: compare a reply with what the verifier expects. The last line of the first reply: "
        f"Answer: {long[:52]}"
    ]


def test_when_nothing_scores_and_answers_are_cut_the_limit_is_suspected(tmp_path: Path) -> None:
    """An answer without its end cannot score."""
    rows = [our_row(task, n, 0.0, finish_reason="length") for task in range(3) for n in range(4)]
    assert hints(report_of(tmp_path, *rows)) == [
        "No answer scored above 0, and 12 are cut short or empty: raise --max-output-tokens."
    ]


def test_rewards_of_0_and_1_are_not_filtered(tmp_path: Path) -> None:
    """Without those under 0.3 no rejected side would be left."""
    rows = [our_row(task, n, float(task == n == 0)) for task in range(5) for n in range(4)]
    found = hints(report_of(tmp_path, *at(1.0, *rows)))
    assert found[0].startswith("1 of 5 prompts give a pair (20%; 60-80% is usual): 4 with all rewards equal; ")
    assert found[0].endswith("; 4 of 4 answers differ. The answers differ but score low.")
    assert found[1:] == ["The mean reward is 0.05: lower --temperature (0.6; it was 1), or give easier prompts."]


def test_a_gap_that_keeps_much_out_is_named(tmp_path: Path) -> None:
    """The value in force, and what the prompts it dropped have. A truncated answer, never chosen, is no best one."""
    rows = [our_row(task, n, 0.5 + 0.05 * n) for task in range(4) for n in range(3)]
    rows += [our_row(task, 3, 1.0, finish_reason="length") for task in range(4)]
    assert hints(report_of(tmp_path, *sorted(rows, key=lambda row: row["_ng_task_index"]))) == [
        "4 of 4 prompts: best and worst are closer than --min-gap 0.15 (mean gap 0.1): give a smaller --min-gap.",
        "4 of 16 answers are cut short or empty: raise --max-output-tokens, or lower --temperature (0.6; it was 0.8).",
    ]


def test_rewards_of_another_scale_are_not_called_poor(tmp_path: Path) -> None:
    """A mean of 0 says nothing where rewards go below 0."""
    assert hints(report_of(tmp_path, *(our_row(t, n, float(n) - 0.5) for t in range(4) for n in range(2)))) == []


def test_sides_that_say_the_same_are_too_alike(tmp_path: Path) -> None:
    """A verifier that scores one text in two ways leaves no pair; that is a lack of diversity, and said."""
    (hint,) = hints(report_of(tmp_path, *at(0.0, *(our_row(t, n, float(n), "same") for t in range(4) for n in (0, 1)))))
    assert "4 with the same text on both sides" in hint
    assert "raise --temperature (0.8; it was 0)" in hint


def test_what_gives_no_pair_is_always_explained(tmp_path: Path) -> None:
    """A wrong file, an empty one, failures, a format that cannot hold the answers, a bar too high: each has a hint."""
    image = [{"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]
    found = {
        "no_answer 1": [{"prompt": "a prompt file"}],
        "`response.error` of the rows": [our_row(0, n, _ng_failure_class="judge") for n in (0, 1)],
        "raise --max-output-tokens, or look at": [our_row(0, n, 1.0, "") for n in (0, 1)],
        "(unfit_content_parts): --format recipe holds": [
            our_row(0, n, float(n), output=[*image] * (n + 1)) for n in (0, 1)
        ],
        "most often because the rewards are too far": [our_row(0, n, 1.7e308 * (1 - 2 * n)) for n in (0, 1)],
    }
    for wanted, rows in found.items():
        assert any(wanted in hint for hint in hints(report_of(tmp_path, *rows))), wanted


def test_answers_that_differ_but_are_all_right_ask_for_harder_prompts(tmp_path: Path) -> None:
    """Temperature is not blamed where the texts differ."""
    rows = [our_row(task, n, 1.0) for task in range(5) for n in range(4)]
    (hint,) = hints(report_of(tmp_path, *rows))
    assert hint == "All 20 answers have the same reward, 1: give harder prompts."
    rows[0]["reward"] = 0.0
    (hint,) = hints(report_of(tmp_path, *rows))
    assert hint.endswith("Most answers are right: give harder prompts.")


def test_small_gaps_are_named(tmp_path: Path) -> None:
    """Pairs enough, but of small gaps."""
    rows = [our_row(task, n, 0.5 + 0.16 * n) for task in range(5) for n in range(2)]
    (hint,) = hints(report_of(tmp_path, *rows))
    assert "the mean gap is 0.16 (0.2-0.4 is usual)" in hint


def test_low_rewards_ask_for_less_temperature_or_a_filter(tmp_path: Path) -> None:
    """Low rewards and answers cut short: lower the temperature, or filter by reward."""
    rows = [our_row(task, n, 0.2 * n, finish_reason="length" if n else "stop") for task in range(4) for n in range(2)]
    cut, poor = hints(report_of(tmp_path, *at(1.0, *rows)))[-2:]
    assert cut == (
        "4 of 8 answers are cut short or empty: raise --max-output-tokens, or lower --temperature (0.6; it was 1)."
    )
    assert poor.startswith("The mean reward is 0.10: lower --temperature (0.6; it was 1), or give easier prompts")


def test_unscored_and_lonely_rollouts_are_explained(tmp_path: Path) -> None:
    """No rewards at all, one rollout a prompt, and nothing at all, each get their own line."""
    (unscored,) = hints(report_of(tmp_path, our_row(0, 0, ABSENT), our_row(0, 1, ABSENT)))
    assert unscored.startswith("No rollout of 2 is usable (no_reward 2): collect again with --verifier (an answer")
    (worded,) = hints(report_of(tmp_path, our_row(0, 0, "1"), our_row(0, 1, "0")))
    assert worded == "No rollout of 2 is usable (reward_string 2): pairing needs a finite number as `reward`."
    (lonely,) = hints(report_of(tmp_path, our_row(0, 0, 1.0), our_row(1, 0, 1.0)))
    assert lonely.startswith("2 of 2 prompts: fewer than 2 rollouts (too_few_rollouts): collect more repeats")
    empty = build_pairs(write_lines(tmp_path / "e.jsonl", []), tmp_path / "pairs.jsonl", overwrite=True)
    (hint,) = hints(empty)
    assert hint.startswith("The input is empty: give the file that was collected as --input. ")
    assert hint.endswith("its failures file says why.")
    assert "pairs" in render_funnel(empty)


@pytest.mark.parametrize(
    "text",
    [
        "\u0e17\u0e35\u0e48\u0e19\u0e31\u0e48\u0e19",
        "\u0939\u093f\u0928\u094d\u0926\u0941",
        "2\ufe0f\u20e3",
        "e\u0301\u0301",
    ],
)
def test_marks_take_no_column(text: str) -> None:
    """Vowels and accents that stand on the letter before: the rule between both sides stays straight."""
    width = sum(unicodedata.category(char) not in ("Mn", "Me") for char in text)
    shown = [line for line in side_by_side(sample("q", text, "other"), 60).splitlines() if " | " in line]
    edges = {line.index("|") for line in shown if text not in line}
    (line,) = [line for line in shown if text in line]
    assert edges == {line.index("|") - len(text) + width}
