"""Where a run is shown: a bar with its lines in a terminal, plain lines elsewhere, or its messages alone."""

from __future__ import annotations

from typing import Protocol

from collector.live.rates import Pace
from collector.live.screen import Screen
from collector.live.streams import SteadyStream
from collector.live.tally import Tally
from collector.live.wording import bar_line, plain_line, status_lines

__all__ = ["Bar", "Display", "Lines", "Nothing", "display_for"]


class Display(Protocol):
    """Shows a run's state whenever it is told to. `first` and `every` are the seconds until then and between."""

    first: float
    every: float

    def say(self, text: str) -> None:
        """A message, to stay."""

    def limit_changed(self, text: str) -> None:
        """More or fewer requests may be out at once, in a line of text."""

    def draw(self, tally: Tally, pace: Pace) -> None:
        """The state as it is."""

    def end(self, tally: Tally, pace: Pace) -> None:
        """The last state."""


class Bar:
    """A bar, and below it what tqdm's has no room for. Only the bar stays at the end."""

    first = 0.0
    every = 0.2

    def __init__(self, stream: SteadyStream) -> None:
        self._stream = stream
        self._screen = Screen(stream)
        self._ascii = not stream.writes("█▏")

    def say(self, text: str) -> None:
        self._screen.say(text)

    def limit_changed(self, text: str) -> None:
        """Nothing: the limit stands below the bar."""

    def draw(self, tally: Tally, pace: Pace) -> None:
        columns, rows = self._stream.size
        width = columns - 1  # what fills a line to its end moves the cursor to the next in some terminals
        lines = [bar_line(tally, pace, width, ascii_only=self._ascii), *status_lines(tally, pace, width)]
        self._screen.draw(lines[: max(1, rows - 1)])

    def end(self, tally: Tally, pace: Pace) -> None:
        self._screen.end(bar_line(tally, pace, self._stream.size[0] - 1, ascii_only=self._ascii))


class Lines:
    """A line now and then, none drawn over: for a file, a pipe, a job's log."""

    first = 10.0
    every = 30.0

    def __init__(self, stream: SteadyStream) -> None:
        self._stream = stream
        self._limit = ""

    def say(self, text: str) -> None:
        self._stream.write(text + "\n")

    def limit_changed(self, text: str) -> None:
        """Told with the next line, and only the last of several."""
        self._limit = text

    def draw(self, tally: Tally, pace: Pace) -> None:
        if self._limit:
            self.say(self._limit)
            self._limit = ""
        self.say(plain_line(tally, pace))

    def end(self, tally: Tally, pace: Pace) -> None:
        self.say(plain_line(tally, pace, over=True))


class Nothing:
    """Messages alone: what failed must not pass unseen."""

    first = every = 3600.0

    def __init__(self, stream: SteadyStream) -> None:
        self._stream = stream

    def say(self, text: str) -> None:
        self._stream.write(text + "\n")

    def limit_changed(self, text: str) -> None: ...
    def draw(self, tally: Tally, pace: Pace) -> None: ...
    def end(self, tally: Tally, pace: Pace) -> None: ...


def display_for(progress: str, stream: SteadyStream) -> Display:
    """The display that `--progress` asks for."""
    if progress == "off":
        return Nothing(stream)
    if progress == "bar" or (progress == "auto" and stream.is_terminal):
        return Bar(stream)
    return Lines(stream)
