"""Text that came from a model or a server, made safe to print: no escape sequences, no control characters."""

from __future__ import annotations

import re
import sys

__all__ = ["plain", "print_line"]

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


def plain(text: str, *, newlines: bool = False) -> str:
    """`text` without terminal escapes and without what is not printable: control and format characters, text-direction
    overrides, lone surrogates. Runs of white space become one space, on one line; with `newlines` they stay as they
    are, tabs as four spaces."""
    text = _ESCAPES.sub("", text)
    if newlines:
        text = text.replace("\r\n", "\n").replace("\t", "    ")
    kept = (char if char.isprintable() or char == "\n" else " " if char.isspace() else "" for char in text)
    return "".join(kept) if newlines else " ".join("".join(kept).split())


def print_line(text: str) -> None:
    """Writes `text` and a line's end to stdout, without what draws on a terminal (a field of a verifier's may be named
    so); what stdout's encoding lacks (a pipe may be ASCII) as escapes, as stderr does."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    sys.stdout.write(plain(text, newlines=True).encode(encoding, "backslashreplace").decode(encoding) + "\n")
