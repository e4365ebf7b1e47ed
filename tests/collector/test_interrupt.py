"""Ctrl-C inside one process: every signal counts, and the first says what is left to do."""

from __future__ import annotations

import signal

import anyio
import pytest

from collector.interrupt import interruptible
from collector.stopping import StopSwitch


async def test_two_signals_that_come_together_count_as_two() -> None:
    """Both are there before the loop looks: the run is told to drain, and cut short all the same."""
    said: list[str] = []

    async def work(stop: StopSwitch) -> str:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        await anyio.sleep_forever()
        return "the end"

    with anyio.fail_after(10):
        assert await interruptible(work, said.append) is None
    assert len(said) == 1


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (0, "requests in flight are being finished; once more"),
        (1, "and 1 reply judged; once more stops at once, and --resume asks again for what was not judged"),
        (340, "and 340 replies judged; once more"),
    ],
)
async def test_the_first_signal_says_what_is_left(left: int, words: str) -> None:
    """Replies that wait for a judge may take longer than the requests: they are named."""
    said: list[str] = []

    async def work(stop: StopSwitch) -> str:
        stop.to_judge = lambda: left
        signal.raise_signal(signal.SIGTERM)
        await stop.wait()
        return "drained"

    with anyio.fail_after(10):
        assert await interruptible(work, said.append) == "drained"
    assert words in said[0]
