"""A stream that may go away (a pipe's reader ends, a disk fills): what is shown is lost then, not the run."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TextIO

__all__ = ["SteadyStream"]


class SteadyStream:
    """Writes whole texts, and passes over what cannot be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def is_terminal(self) -> bool:
        """Whether it is a terminal that lines can be drawn over in."""
        with suppress(OSError, ValueError):
            return self._stream.isatty() and os.environ.get("TERM") != "dumb"
        return False

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows; 80 and 24 where it does not say."""
        with suppress(OSError, ValueError):
            size = os.get_terminal_size(self._stream.fileno())
            return size.columns or 80, size.lines or 24
        return 80, 24

    def writes(self, text: str) -> bool:
        """Whether its encoding has these characters."""
        try:
            text.encode(getattr(self._stream, "encoding", None) or "utf-8")
        except (UnicodeError, LookupError):
            return False
        return True

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()
