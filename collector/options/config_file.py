"""`--config FILE.toml`: a file of flags, put in front of the command's own words, so that the command line wins.

Keys are the long flags, with - or _; `[params]`, `[headers]`, `[header_env]`, `[extra_body]` and `[num_repeats]` may be
tables, repeatable flags lists. Paths mean what they mean on the command line. Keys and tokens are refused: such a file
is shared. Not covered here: what a value may be, which the flag itself says.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from collector.errors import UsageError
from collector.options.credentials import is_credential, is_key
from collector.terminal import plain

__all__ = ["taken_elsewhere", "with_config"]

_FLAG = "--config"
_NAMES = {"params": "param", "headers": "header", "headers_env": "header_env", "vetoes": "veto"}
_PAIRS = frozenset({"header", "header_env", "param"})
"""Repeatable flags of the form NAME=VALUE: the file's stay beside the command line's, which win name by name."""
_HEADERS = frozenset({"header", "header_env"})
_USER = re.compile(r"//[^/]*@")
_RIVALS = (
    {"api_key_env", "api_key_file"},
    {"system_prompt", "system_prompt_file"},
    {"resume", "overwrite"},
    {"base_url", "agent_url"},
    {"num_repeats", "until_gap"},
    {"num_repeats", "max_repeats"},
    {"num_repeats", "min_chosen"},
    {"num_repeats", "futile_after"},
)
"""Flags that contradict each other: one on the command line silences the others in the file."""
_SHOWN = 60
_FEW = 3
"""Commands that a message names."""


def with_config(words: list[str], parsers: Mapping[str, argparse.ArgumentParser]) -> list[str]:
    """`words` with what their --config file says put behind the command. `parsers` are the commands'.

    Raises UsageError, naming file, key and what is accepted, for a file that cannot be read or holds what is no flag.
    """
    parser = parsers.get(words[0]) if words else None
    path = _config_path(words)
    if parser is None or path is None or _FLAG not in parser._option_string_actions:
        return words
    reader = _Reader(path, parser, words[1:], parsers)
    return [words[0], *reader.flags(), *words[1:]]


def taken_elsewhere(
    option: str, parser: argparse.ArgumentParser, parsers: Mapping[str, argparse.ArgumentParser]
) -> str | None:
    """Which other commands take an option that this one does not, and what this one has like it: "`pairmill collect`
    takes it, not `pairmill run`, which has --output-dir". None when none does."""
    names = list(dict.fromkeys(f"`{each.prog}`" for each in parsers.values() if option in each._option_string_actions))
    if not names or option in parser._option_string_actions:
        return None
    shown = [*names[:_FEW], "others"] if len(names) > _FEW else names
    who = f"{', '.join(shown[:-1])} and {shown[-1]} take it" if len(shown) > 1 else f"{shown[0]} takes it"
    own = [flag for flag in parser._option_string_actions if flag.startswith(option) or option.startswith(f"{flag}-")]
    return f"{who}, not `{parser.prog}`" + (f", which has {own[0]}" if own else "")


def _config_path(words: Sequence[str]) -> Path | None:
    given = _values(_FLAG, words)
    if len(given) > 1:
        raise UsageError(f"{_FLAG}: give one file")
    return Path(given[0]) if given and given[0] else None


class _Reader:
    """One file's flags. `given` are the words of the command line, `parsers` those of all commands."""

    def __init__(
        self,
        path: Path,
        parser: argparse.ArgumentParser,
        given: Sequence[str],
        parsers: Mapping[str, argparse.ArgumentParser],
    ) -> None:
        self.path = path
        self.parser = parser
        self.parsers = parsers
        self.actions = {
            option.removeprefix("--").replace("-", "_"): action
            for option, action in parser._option_string_actions.items()
            if option not in (_FLAG, "--help", "-h") and not option.startswith("--no-send")
        }
        self.silenced = self._silenced(given)
        self.headers = {_header_name(text) for name in ("--header", "--header-env") for text in _values(name, given)}
        """The headers that the command line decides, by either flag."""

    def flags(self) -> Iterator[str]:
        """The words that say what the file says."""
        for key, value in _load(self.path).items():
            name = key.replace("-", "_")
            name = _NAMES.get(name, name)
            action = self.actions.get(name)
            if action is None:
                raise self._unknown(key)
            if action.dest not in self.silenced:
                yield from self._words(key, action, value)

    def _silenced(self, given: Sequence[str]) -> set[str]:
        """The settings that the command line decides: those it gives, and what contradicts or repeats them."""
        options = {word.partition("=")[0] for word in given}
        dests = {action.dest for option, action in self.parser._option_string_actions.items() if option in options}
        params = [text.partition("=")[0] for text in _values("--param", given)]
        named = {self.actions[name].dest for name in params if name in self.actions}
        rivals = {name for group in _RIVALS if group & dests for name in group}
        return (dests | named | rivals) - _PAIRS

    def _words(self, key: str, action: argparse.Action, value: Any) -> Iterator[str]:
        flag = max(action.option_strings, key=len)
        if action.nargs == 0:
            yield from self._switch(key, action, value)
        elif isinstance(action, argparse._AppendAction):
            for text in self._several(key, action, value):
                if action.dest in _HEADERS and _header_name(text) in self.headers:
                    continue
                yield f"{flag}={self._checked(key, action, text, text)}"
        else:
            yield f"{flag}={self._checked(key, action, self._one(key, action, value), value)}"

    def _switch(self, key: str, action: argparse.Action, value: Any) -> Iterator[str]:
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        negative = [option for option in action.option_strings if option.startswith("--no-")]
        positive = [option for option in action.option_strings if option not in negative] or negative
        if value:
            yield positive[0]
        elif negative and positive != negative:
            yield negative[0]

    def _several(self, key: str, action: argparse.Action, value: Any) -> list[str]:
        """The values of a repeatable flag: a list of texts, one text, or a table where each is NAME=VALUE."""
        if action.dest in _PAIRS and isinstance(value, dict):
            secret = next(filter(is_credential, value), None) if action.dest == "header" else None
            if secret is not None:
                raise UsageError(
                    f"{self.path}: {key}.{plain(secret)}: a credential has no place in a file: put it into an"
                    f' environment variable and give header_env = {{ {plain(secret)} = "VARIABLE" }}'
                )
            return [f"{name}={self._pair_value(f'{key}.{name}', action, inner)}" for name, inner in value.items()]
        texts = [value] if isinstance(value, str) else value
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise self._wrong(key, value, "a table" if action.dest in _PAIRS else "a text or a list of texts")
        return texts

    def _pair_value(self, key: str, action: argparse.Action, value: Any) -> str:
        if action.dest == "param":
            return self._json(key, value)
        if not isinstance(value, str):
            raise self._wrong(key, value, "a text")
        return value

    def _one(self, key: str, action: argparse.Action, value: Any) -> str:
        """The value as it would stand on the command line."""
        kind = getattr(action.type, "__name__", "text")
        if kind in ("json_object", "whole number") and isinstance(value, dict):
            return self._json(key, value)
        if kind == "temperature" and isinstance(value, list) and value and all(map(_is_number, value)):
            return ",".join(map(str, value))
        if kind in ("float", "temperature"):
            expected, fits = "a number", _is_number(value)
        elif kind in ("int", "whole number"):
            expected, fits = "a whole number", isinstance(value, int) and not isinstance(value, bool)
        elif kind == "parallelism":
            expected, fits = "a number or a text", isinstance(value, int | str) and not isinstance(value, bool)
        elif kind == "json_object":
            expected, fits = "a table", False
        else:
            expected, fits = "a text", isinstance(value, str)
        if not fits:
            raise self._wrong(key, value, expected)
        return str(value)

    def _checked(self, key: str, action: argparse.Action, text: str, value: Any) -> str:
        """`text`, once the flag itself has taken it: a value out of range is said with the file and the key."""
        if action.dest.endswith("_url") and _USER.search(text):
            raise UsageError(
                f"{self.path}: {key}: a password has no place in a file: leave it out of the URL and give header_env ="
                ' { Authorization = "VARIABLE" }'
            )
        try:
            self.parser._check_value(action, self.parser._get_value(action, text))
        except argparse.ArgumentError as error:
            raise UsageError(f"{self.path}: {key} = {_shown(value)}: {error.message}") from None
        return text

    def _json(self, key: str, value: Any) -> str:
        try:
            return json.dumps(value, allow_nan=False)  # orjson would write null for TOML's nan and inf
        except (TypeError, ValueError):
            raise self._wrong(key, value, "what JSON can hold") from None

    def _wrong(self, key: str, value: Any, expected: str) -> UsageError:
        return UsageError(f"{self.path}: {key} = {_shown(value)}: give {expected}")

    def _unknown(self, key: str) -> UsageError:
        shown = plain(key)
        if is_key(key):
            return UsageError(
                f"{self.path}: {shown}: a credential has no place in a file: put it into an environment variable and"
                ' give api_key_env = "VARIABLE", or header_env = { NAME = "VARIABLE" }'
            )
        elsewhere = taken_elsewhere(f"--{key.replace('_', '-')}", self.parser, self.parsers)
        if elsewhere:
            return UsageError(f"{self.path}: {shown}: {elsewhere}: in a file for both, leave only what both take")
        near = difflib.get_close_matches(key.replace("-", "_"), [*self.actions, *_NAMES], n=2, cutoff=0.6)
        meant = f"; did you mean {' or '.join(near)}?" if near else f" (see {self.parser.prog} --help)"
        return UsageError(f"{self.path}: {shown}: no such setting{meant}")


def _values(flag: str, words: Sequence[str]) -> list[str]:
    """What a flag was given on the command line, in both spellings."""
    given = [word.partition("=")[2] for word in words if word.startswith(f"{flag}=")]
    return given + [value for word, value in pairwise(words) if word == flag]


def _header_name(text: str) -> str:
    return text.partition("=")[0].strip().lower()


def _load(path: Path) -> dict[str, Any]:
    import tomllib  # late: few runs have such a file

    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{_FLAG} {path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{_FLAG} {path}: is no UTF-8 text") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{_FLAG} {path}: is not TOML: {plain(str(error))}") from None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    text = plain(str(value).lower() if isinstance(value, bool) else repr(value))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
