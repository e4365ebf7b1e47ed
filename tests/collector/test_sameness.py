"""Samples that should differ and do not are found, and said once."""

from __future__ import annotations

from collector.sameness import SeenTexts
from tests.collector.test_work import tasks
from tests.runs import Notes


def feed(seen: SeenTexts, rows: int, repeats: int, text: str | None) -> list[bool]:
    """All tasks of so many rows, one after another: whether each was a repeat. No text: each has its own."""
    found = []
    for number, task in enumerate(tasks(rows, repeats)):
        seen.begin([task])
        found.append(seen.is_repeat(task, str(number) if text is None else text))
        seen.end(task)
    return found


def test_a_text_that_its_prompt_had_before_is_a_repeat() -> None:
    """Of the same row, not of another; and no text at all is no repeat."""
    assert feed(SeenTexts(Notes()), 2, 3, "four") == [False, True, True, False, True, True]
    assert not any(feed(SeenTexts(Notes()), 2, 3, ""))


def test_memory_holds_the_prompts_in_progress_alone() -> None:
    """Whether a prompt's last task ends before or after the next prompt begins."""
    seen = SeenTexts(Notes())
    feed(seen, 100, 3, None)
    assert len(seen._groups) == 1
    late, later = [list(tasks(102, 2))[-4:-2], list(tasks(102, 2))[-2:]]
    seen.begin(late)
    seen.begin(later)
    assert len(seen._groups) == 2
    for task in (*late, *later):
        seen.is_repeat(task, "x")
        seen.end(task)
    seen.close()
    assert not seen._groups


def test_a_server_that_ignores_the_seed_is_told_of_once() -> None:
    """After fifty prompts of nothing but one answer each, or at the end of a shorter run."""
    for rows in (500, 20):
        watching = Notes()
        seen = SeenTexts(watching)
        feed(seen, rows, 4, "four")
        seen.close()
        first = min(rows, 50)
        assert watching.notes == [
            f"the samples of {first} of the first {first} prompts are identical:"
            " the server seems to ignore the seed, or the temperature is 0"
        ]


def test_samples_that_differ_and_single_ones_are_no_news() -> None:
    """Nor is a handful of prompts."""
    for rows, repeats, text in ((200, 4, None), (200, 1, "four"), (5, 4, "four")):
        watching = Notes()
        seen = SeenTexts(watching)
        feed(seen, rows, repeats, text)
        seen.close()
        assert not watching.notes
