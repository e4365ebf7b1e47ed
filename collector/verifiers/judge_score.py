"""Reads the score in a judge's reply. Strictly: what does not say one score, in one place, says none.

Three forms, one for each way of asking: a last line `Score: N`, a JSON object with `score`, or a pattern of the user's
with one group. A number outside the scale is no score: a judge that leaves its scale did not understand the task.
"""

from __future__ import annotations

import importlib
import json
import math
import re
from collections.abc import Callable
from typing import Any

from collector.errors import VerifierSetupError
from collector.protocols.server_text import one_line

__all__ = ["NoScoreError", "ScoreReader", "json_reader", "json_schema", "line_reader", "pattern_reader", "shown_number"]

_NUMBER = r"[0-9]{1,12}(?:\.[0-9]{1,40})?"
_LINE = re.compile(
    rf"[\s*_#>`]*+score[\s*_`]*+:[\s*_`]*+(-?{_NUMBER})(?:\s*+/\s*+({_NUMBER}))?+[\s*_`.]*+", re.IGNORECASE
)
_SAID = re.compile(rf"\s*[-+]?{_NUMBER}\s*")
"""What a pattern's group may hold: Python's own numbers go from 1_0 to nan."""
_FENCE = re.compile(r"```(?:json)?\s*\n(.*)\n\s*```", re.DOTALL)
_PATTERN_SECONDS = 0.25


class NoScoreError(Exception):
    """The reply says no score; the message says why."""


ScoreReader = Callable[[str], float]
"""A judge's reply -> its score on the judge's own scale. Raises NoScoreError."""


def line_reader(low: float, high: float) -> ScoreReader:
    """The last line that is not blank is `Score: N` and nothing else; Markdown around it, and `/HIGH` behind, are read
    over."""

    def read(text: str) -> float:
        line = next((line for line in reversed(text.split("\n")) if line.strip()), "")
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise NoScoreError(f"its last line is no `Score: N`: {one_line(line, 80)!r}")
        if found[2] is not None and float(found[2]) != high:
            raise NoScoreError(f"it scores out of {found[2]}, not {shown_number(high)}")
        return _on_scale(found[1], low, high)

    return read


def json_reader(low: float, high: float) -> ScoreReader:
    """The reply is one JSON object with a number under `score`, and no name in it twice."""

    def read(text: str) -> float:
        inner = _FENCE.fullmatch(text.strip())
        try:
            answer = json.loads(inner[1] if inner else text.strip(), object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise NoScoreError(f"it is not JSON: {one_line(str(error), 100)}") from None
        score = answer.get("score") if isinstance(answer, dict) else None
        if isinstance(score, bool) or not isinstance(score, int | float):
            raise NoScoreError("it is no JSON object with a number under `score`")
        return _on_scale(score, low, high)

    return read


def pattern_reader(pattern: str, verifier: str, low: float, high: float) -> ScoreReader:
    """The one group of `pattern`, wherever it is found; found at several places it must say the same number at all of
    them, so that a score which the judge quotes from the answer never passes for its own. Raises VerifierSetupError."""
    engine: Any = importlib.import_module("regex")  # it keeps to a time limit, which `re` cannot
    try:
        compiled = engine.compile(pattern)
    except engine.error as error:
        raise VerifierSetupError(f"--verifier {verifier}: pattern={pattern}: {one_line(str(error))}") from None
    if compiled.groups != 1:
        raise VerifierSetupError(f"--verifier {verifier}: pattern={pattern}: give one group, around the number")

    def read(text: str) -> float:
        try:
            found = compiled.finditer(text, timeout=_PATTERN_SECONDS)
            said = {_on_scale(_number_in(match[1] or ""), low, high) for match in found}
        except TimeoutError:
            raise NoScoreError(f"the pattern was still matching after {_PATTERN_SECONDS:g} seconds") from None
        if len(said) != 1:
            raise NoScoreError(
                "the pattern is found nowhere" if not said else f"it says several scores: {sorted(said)}"
            )
        return said.pop()

    return read


def json_schema(low: float, high: float) -> dict[str, Any]:
    """The `response_format` by which a server holds its model to `json_reader`'s form."""
    schema = {
        "type": "object",
        "properties": {"reasoning": {"type": "string"}, "score": {"type": "number", "minimum": low, "maximum": high}},
        "required": ["reasoning", "score"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "verdict", "schema": schema, "strict": True}}


def shown_number(value: float) -> str:
    """10, not 10.0; every digit that counts."""
    return repr(int(value)) if value.is_integer() else repr(value)


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object, unless it names a member twice: readers differ in which one they take."""
    made = dict(members)
    if len(made) != len(members):
        raise NoScoreError("a name stands twice in its JSON object")
    return made


def _number_in(said: str) -> str:
    if _SAID.fullmatch(said) is None:
        raise NoScoreError(f"{one_line(said, 40)!r} is no number")
    return said


def _on_scale(said: str | float, low: float, high: float) -> float:
    try:
        score = float(said)
    except OverflowError:
        score = math.inf
    if not math.isfinite(score) or not low <= score <= high:
        shown = one_line(str(score), 40)
        raise NoScoreError(f"its score {shown} is not from {shown_number(low)} to {shown_number(high)}")
    return score
