"""The flags of sampling: the request's parameters, the ladder of temperatures, the seed."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from collector.errors import UsageError
from collector.options.parser import temperatures
from collector.records.tools import overridden

__all__ = ["add_options", "read_options"]

_SAMPLING = (
    ("--top-p", "top_p", float, "nucleus sampling"),
    ("--top-k", "top_k", int, "sample from the k likeliest tokens; sent only when given"),
    ("--min-p", "min_p", float, "drop tokens below this share of the likeliest; sent only when given"),
    ("--max-output-tokens", "max_output_tokens", int, "longest answer, in tokens (also --max-tokens)"),
)
_BOUNDS = {
    "temperature": (0.0, 100.0),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "top_k": (-1, 2**31),
    "max_output_tokens": (1, 2**31),
    "max_completion_tokens": (1, 2**31),
    "seed": (-(2**63), 2**63 - 1),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("sampling (command line wins over the row, the row over the server)")
    group.add_argument(
        "--temperature",
        type=temperatures,
        metavar="X[,X...]",
        help="several: the first repeat has the first, and so on",
    )
    for flag, name, kind, text in _SAMPLING:
        aliases = ["--max-tokens"] if name == "max_output_tokens" else []
        group.add_argument(flag, *aliases, dest=name, type=kind, metavar="X" if kind is float else "N", help=text)
    group.add_argument(
        "--param", action="append", default=[], metavar="NAME=JSON", help="any other request parameter; repeatable"
    )
    group.add_argument("--seed", type=int, default=0, metavar="N", help="the run's seed (default 0)")
    group.add_argument(
        "--send-seed",
        action=argparse.BooleanOptionalAction,
        help="a distinct seed with each request (default: yes, but not to agents)",
    )


def read_options(args: argparse.Namespace) -> dict[str, Any]:
    params = _params(args.param)
    flags = {name: getattr(args, name) for _, name, _, _ in _SAMPLING if getattr(args, name) is not None}
    params = overridden(params, flags)
    ladder: Sequence[float] = args.temperature or ()
    if ladder:
        params["temperature"] = ladder[0]
    for value in ladder:
        _check_bounds({"temperature": value})
    _check_bounds(params)
    if len(ladder) > 1:
        del params["temperature"]
    return {
        "params": params,
        "temperatures": tuple(ladder) if len(ladder) > 1 else (),
        "seed": args.seed,
        "send_seed": args.send_seed,
    }


def _params(texts: Sequence[str]) -> dict[str, Any]:
    """The parameters in the order in which they were given: a later one wins."""
    params: dict[str, Any] = {}
    for text in texts:
        name, value = _split_param(text)
        params = overridden(params, {"max_output_tokens" if name == "max_tokens" else name: value})
    return params


def _split_param(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--param {text}: write NAME=JSON, for example --param repetition_penalty=1.1")
    if name in ("input", "messages", "n", "stream"):
        raise UsageError(f"--param {name}: the collector sets this itself")
    if name == "model":
        raise UsageError(f"--param {name}: give --model NAME")
    try:
        return name, orjson.loads(value)
    except orjson.JSONDecodeError:
        return name, value  # a bare word is a string, as in NeMo Gym's +key=value


def _check_bounds(params: Mapping[str, Any]) -> None:
    for name, (low, high) in _BOUNDS.items():
        value = params.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise UsageError(f"--{name.replace('_', '-')} {value}: give a number from {low:.12g} to {high:.12g}")
