"""The argument parser, and the types of values that its flags take."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any, NoReturn

import orjson

from collector.errors import UsageError

__all__ = [
    "Parser",
    "given_path",
    "given_text",
    "json_object",
    "parallelism",
    "positive_int",
    "repeats",
    "temperatures",
]

_RANGE = re.compile(r"\s*(\d{1,9})\s*-\s*(\d{1,9})\s*")
_WANTED = {"int": "a whole number", "float": "a number", "whole number": "a whole number, 1 or more"}
"""What to give, by the name of a flag's type."""
_AUTO_MOST = 1024
"""Requests in flight that `auto` may come to: four times what vLLM runs at once by default."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, as every other error of the command is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        if message.startswith("the following arguments are required: --input"):
            message += ": write --input FILE"  # a file without its flag is what is commonly left
        raise UsageError(f"{message} (see {self.prog} --help)")

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        """`--flag=--`: argparse takes the value for the end of the options, and leaves an empty list in its place."""
        if action.option_strings and arg_strings == ["--"]:
            self.error(f"argument {'/'.join(action.option_strings)}: -- is no value")
        return super()._get_values(action, arg_strings)

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """A number that is none: argparse says no more than `invalid int value`."""
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError as error:
            wanted = _WANTED.get(getattr(action.type, "__name__", ""))
            if wanted is None or not error.message.startswith("invalid "):
                raise
            raise argparse.ArgumentError(action, f"{arg_string!r}: give {wanted}") from None


def positive_int(text: str) -> int:
    """An argparse type: a whole number, 1 or more."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: give 1 or more")
    return value


def parallelism(text: str) -> tuple[int | None, int]:
    """An argparse type: a whole number gives (None, number); `auto`, or a range such as 8-256, gives its two ends."""
    if text.strip().lower() == "auto":
        from collector.openfiles import connections_allowed

        return 1, min(_AUTO_MOST, connections_allowed())
    ends = _RANGE.fullmatch(text)
    if ends is None:
        try:
            return None, positive_int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text}: give a number, auto, or a range such as 8-256") from None
    least, most = int(ends[1]), int(ends[2])
    if not 1 <= least <= most:
        raise argparse.ArgumentTypeError(f"{text}: give a range from the smaller number to the larger: 8-256")
    return (least, most) if least < most else (None, most)


def given_text(text: str) -> str:
    """An argparse type: a text that is not empty. An empty one is a shell variable that was never set."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty: give a value, or leave it out (a variable that is not set?)")
    return text


def given_path(text: str) -> Path:
    """An argparse type: a path. An empty text is none, not the current folder."""
    if "\0" in text:
        raise argparse.ArgumentTypeError("no path holds a NUL character")
    return Path(given_text(text))


def temperatures(text: str) -> tuple[float, ...]:
    """An argparse type: one number, or several with commas between them."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give a number, or several with commas between: 0.6,0.8") from None


def json_object(text: str) -> dict[str, Any]:
    """An argparse type: a JSON object."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(
            f"is not JSON ({error.msg}): write an object, such as '{{\"k\": 1}}'"
        ) from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("give a JSON object, such as '{\"k\": 1}'")
    return value


def repeats(text: str) -> int | dict[str, int]:
    """An argparse type: a whole number, or one for each agent: `{my_agent: 3, _default: 2}`."""
    if not text.lstrip().startswith("{"):
        if ":" in text:
            raise argparse.ArgumentTypeError(f"{text}: a shell takes braces apart: write '{{agent: 3}}' in quotes")
        return positive_int(text)
    from collector.options.plus_args import read_value

    by_agent = read_value(text)
    if not isinstance(by_agent, dict) or not by_agent:
        raise argparse.ArgumentTypeError(f"{text}: write {{agent: number, _default: number}}")
    for name, number in by_agent.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise argparse.ArgumentTypeError(f"{text}: {name}: give a whole number, 1 or more")
    return {str(name): number for name, number in by_agent.items()}


# argparse names the type in "invalid ... value".
positive_int.__name__ = "whole number"
parallelism.__name__ = "parallelism"
given_text.__name__ = "text"
given_path.__name__ = "path"
temperatures.__name__ = "temperature"
repeats.__name__ = "whole number"
