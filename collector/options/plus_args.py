"""NeMo Gym's spelling of the options: `+key=value` becomes the flag of the same meaning.

Its users know Hydra's rules for values: `null` is 'not given', True is true, a dot goes a level down, and a list or a
mapping may be written in place (`+responses_create_params={temperature: 0.8}`).
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from collector.errors import UsageError

__all__ = ["read_value", "translate"]

_FLAGS = {
    "agent_name": "--agent-name",
    "agent_url": "--agent-url",
    "head_url": "--head-url",
    "input_jsonl_fpath": "--input",
    "output_jsonl_fpath": "--output",
    "limit": "--limit",
    "num_repeats": "--num-repeats",
    "num_samples_in_parallel": "--num-samples-in-parallel",
    "prompt_config": "--prompt-template",
}
_SWITCHES = {
    "resume_from_cache": ("--resume", None),
    "num_repeats_add_seed": ("--send-seed", "--no-send-seed"),
    "send_seed": ("--send-seed", "--no-send-seed"),
    "overwrite": ("--overwrite", None),
    "resume": ("--resume", None),
    "dry_run": ("--dry-run", None),
    "reverify": ("--reverify", None),
}
"""Key -> the flag for true, the flag for false."""
_PARAMS = "responses_create_params"
_WORDS = {"true": True, "false": False, "null": None, "none": None}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_TIGHT_COLON = re.compile(r"([{,]\s*[\w.]+):(?=\S)")
"""Hydra takes `{a:1}`, YAML wants a space behind the colon."""


def translate(argv: list[str]) -> list[str]:
    """`argv` with each `+key=value` (or `++key=value`) as a flag; the rest as it stands.

    Any key that is also a flag of ours works (`+base_url=...`). Raises UsageError for a word that starts with + and
    cannot be read.
    """
    flags: list[str] = []
    params: dict[str, Any] = {}
    for word in argv:
        if not word.startswith("+"):
            flags.append(word)
            continue
        key, value = _split(word)
        if key == _PARAMS or key.startswith(f"{_PARAMS}."):
            _put(params, key.split(".")[1:], read_value(value), word)
        elif value != "null":
            flags.extend(_flag_words(key, value))
    return flags + [f"--param={name}={orjson.dumps(value).decode()}" for name, value in _given(params).items()]


def _split(word: str) -> tuple[str, str]:
    key, equals, value = word.lstrip("+").partition("=")
    if not equals or not key:
        raise UsageError(f"{word}: write +key=value, for example +num_repeats=3")
    quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "'\""
    return key, value[1:-1] if quoted else value


def _flag_words(key: str, value: str) -> list[str]:
    if key in _SWITCHES:
        return _switch(key, value)
    return [f"{_FLAGS.get(key, '--' + key.replace('_', '-'))}={value}"]


def _switch(key: str, value: str) -> list[str]:
    if value.lower() not in ("true", "false"):
        raise UsageError(f"+{key}={value}: give true or false")
    flag = _SWITCHES[key][value.lower() == "false"]
    return [flag] if flag else []


def read_value(text: str) -> Any:
    """A value as Hydra reads it: JSON, True, .8, [a, b], {a: 1}, or else a bare word."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _NUMBER.fullmatch(text):
        return float(text)
    return _read_yaml(text) if text[:1] in ("[", "{") else text


def _read_yaml(text: str) -> Any:
    import yaml  # few need it, and it costs start-up

    try:
        value = yaml.safe_load(_TIGHT_COLON.sub(r"\1: ", text))
        orjson.dumps(value)
    except (yaml.YAMLError, TypeError, ValueError, RecursionError):
        raise UsageError(f"{text}: cannot be read as a list or mapping; write it as JSON") from None
    return value


def _put(params: dict[str, Any], path: list[str], value: Any, word: str) -> None:
    """Sets the value at `path`, level by level; the empty path takes a mapping of parameters."""
    if not path:
        if not isinstance(value, dict):
            raise UsageError(f"{word}: give a mapping, or one parameter as +{_PARAMS}.temperature=0.8")
        params.update(value)
        return
    for name in path[:-1]:
        below = params.get(name)
        params[name] = params = below if isinstance(below, dict) else {}
    params[path[-1]] = value


def _given(params: dict[str, Any]) -> dict[str, Any]:
    """Without what is null: that means 'not given'."""
    return {
        name: _given(value) if isinstance(value, dict) else value for name, value in params.items() if value is not None
    }
