"""The paths that the pairing flags take: the same that the collector's take, which this stage does not import."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["given_file", "given_path"]


def given_path(text: str) -> Path:
    """An argparse type: a path. An empty text, a shell variable that was never set, is none; nor is one with NUL."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty: give a path, or leave it out (a variable that is not set?)")
    if "\0" in text:
        raise argparse.ArgumentTypeError("no path holds a NUL character")
    return Path(text)


def given_file(text: str) -> Path:
    """An argparse type: a path with a name, which `/` and `.` have none of."""
    path = given_path(text)
    if not path.name:
        raise argparse.ArgumentTypeError(f"{text} is a folder: give a file")
    return path


given_path.__name__ = given_file.__name__ = "path"  # argparse names the type in "invalid ... value"
