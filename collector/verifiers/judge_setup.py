"""Reads a judge's specification, `judge:url=...,...`, and says clearly what is wrong with one."""

from __future__ import annotations

import hashlib
from pathlib import Path

from collector.settings import CollectSettings
from collector.verifiers.judge import JudgeVerifier, Sampling
from collector.verifiers.judge_prompt import JudgePrompt, built_in_template, read_template
from collector.verifiers.judge_score import (
    ScoreReader,
    json_reader,
    json_schema,
    line_reader,
    pattern_reader,
    shown_number,
)
from collector.verifiers.model_client import SERVER_PARAMETERS, ModelServer, server_place
from collector.verifiers.spec import Parameters, read_parameters

__all__ = ["build_judge"]

_LARGEST_SCORE = 1e9
_MOST_SAMPLES = 100
"""Judgements, or tries, of one reply: each is paid for."""
_WARMEST = 10
_OWN_PARAMETERS = (
    "template",
    "reference",
    "min",
    "max",
    "format",
    "samples",
    "tries",
    "temperature",
    "max_tokens",
)


def build_judge(rest: str, settings: CollectSettings) -> JudgeVerifier:
    """From `judge:url=...,...`; `pattern` runs to the end of the specification. Raises VerifierSetupError."""
    accepted = (*SERVER_PARAMETERS, *_OWN_PARAMETERS)
    given = read_parameters("judge", rest, accepted, last="pattern")
    low, high = _real(given, "min", 1.0), _real(given, "max", 10.0)
    if not low < high:
        raise given.error("max", f"give a number greater than min ({shown_number(low)})")
    style = given.choice("format", ("text", "json"))
    prompt, digest = _prompt(given, style, low, high)
    return JudgeVerifier(
        ModelServer(server_place(given, settings), settings),
        prompt,
        _reader(given, style, low, high),
        low=low,
        high=high,
        sampling=_sampling(given, settings),
        response_format=json_schema(low, high) if style == "json" else None,
        code_digest=digest,
    )


def _prompt(given: Parameters, style: str, low: float, high: float) -> tuple[JudgePrompt, str | None]:
    """The prompt, and the digest of the user's own template."""
    reference = given.text("reference", "expected_answer")
    if not given.given("template"):
        template = built_in_template(style, reference=given.given("reference"))
        return JudgePrompt(template, "the judge's template", reference=reference, low=low, high=high), None
    path = Path(given.text("template", ""))
    template = read_template(path, given.verifier)
    prompt = JudgePrompt(template, str(path), reference=reference, low=low, high=high)
    if not prompt.shows_answer:
        raise given.error("template", "it has no {answer}: the judge would not see what it grades")
    return prompt, hashlib.sha256(template.encode()).hexdigest()


def _reader(given: Parameters, style: str, low: float, high: float) -> ScoreReader:
    if style == "json":
        if given.given("pattern"):
            raise given.error("pattern", "format=json reads the score from the JSON object: give one of the two")
        return json_reader(low, high)
    if given.given("pattern"):
        return pattern_reader(given.text("pattern", ""), given.verifier, low, high)
    return line_reader(low, high)


def _sampling(given: Parameters, settings: CollectSettings) -> Sampling:
    own_choice = given.text("temperature", "0") == "none"
    return Sampling(
        temperature=None if own_choice else given.number("temperature", 0.0, most=_WARMEST),
        max_tokens=None if given.text("max_tokens", "") == "none" else given.count("max_tokens", 2048),
        samples=given.count("samples", 1, most=_MOST_SAMPLES),
        tries=given.count("tries", 3, most=_MOST_SAMPLES),
        seed=settings.seed,
    )


def _real(given: Parameters, name: str, default: float) -> float:
    """A number of a scale, negative ones too."""
    text = given.text(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) <= _LARGEST_SCORE:
        raise given.error(name, f"give a number from -{_LARGEST_SCORE:.0f} to {_LARGEST_SCORE:.0f}")
    return value
