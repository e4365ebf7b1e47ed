"""A few lines at the bottom of a terminal, drawn over and over, with messages going by above them."""

from __future__ import annotations

from collections.abc import Sequence

from collector.live.streams import SteadyStream

__all__ = ["Screen"]

_ERASE_DOWN = "\x1b[J"
_ERASE_RIGHT = "\x1b[K"


class Screen:
    """Between two drawings the cursor stands at the start of the first line: there a terminal that is made narrower
    and breaks the lines anew leaves it, so that the next drawing covers all of them; and what a key echoes (`^C`)
    is covered too."""

    def __init__(self, stream: SteadyStream) -> None:
        self._stream = stream
        self._lines: Sequence[str] = ()
        self._size = stream.size

    def draw(self, lines: Sequence[str]) -> None:
        """Shows `lines` in the place of those before. Each must be shorter than the terminal is wide."""
        size = self._stream.size
        start = "\r" if size == self._size else "\r" + _ERASE_DOWN
        self._size, self._lines = size, lines
        up = f"\x1b[{len(lines) - 1}A" if len(lines) > 1 else ""
        body = f"{_ERASE_RIGHT}\n".join(lines)
        self._stream.write(f"{start}{body}{_ERASE_DOWN}{up}\r")

    def say(self, text: str) -> None:
        """One line of text above, to stay."""
        self._stream.write(f"\r{_ERASE_DOWN}{text}\n")
        if self._lines:
            self.draw(self._lines)

    def end(self, line: str) -> None:
        """Leaves `line` in the place of all, and the cursor below it."""
        self._stream.write(f"\r{_ERASE_DOWN}{line}\n")
        self._lines = ()
