"""The verifiers by name, and how a specification becomes one. An extension is one more entry in `REGISTRY`."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module

from collector.errors import VerifierSetupError
from collector.settings import CollectSettings
from collector.verifiers.base import Verifier
from collector.verifiers.contains import build_contains
from collector.verifiers.embedded import build_embedded
from collector.verifiers.exact import build_exact
from collector.verifiers.function import build_function
from collector.verifiers.numeric import build_numeric
from collector.verifiers.pattern import build_regex
from collector.verifiers.resources_server import build_http
from collector.verifiers.spec import read_part, split_spec

__all__ = ["REGISTRY", "Builder", "build_verifier", "verifier_of"]

Builder = Callable[[str, CollectSettings], Verifier]
"""Takes what stands behind `NAME:` in the specification, and the run's settings. Raises VerifierSetupError."""


def _later(module: str, builder: str) -> Builder:
    """A builder that is imported when it is asked for: what few runs use, and what is slow to load."""

    def build(rest: str, settings: CollectSettings) -> Verifier:
        verifier: Verifier = getattr(import_module(f"collector.verifiers.{module}"), builder)(rest, settings)
        return verifier

    return build


REGISTRY: dict[str, Builder] = {
    "exact": build_exact,
    "numeric": build_numeric,
    "contains": build_contains,
    "regex": build_regex,
    "math": _later("mathematics", "build_math"),
    "json_schema": _later("json_schema", "build_json_schema"),
    "python": build_function,
    "http": build_http,
    "judge": _later("judge_setup", "build_judge"),
    "reward_model": _later("reward_model", "build_reward_model"),
    "embedded": build_embedded,
}


_STARLESS = re.compile(r"([0-9]*\.?[0-9]+)\s*x?\s*([a-z_]+)")


def build_verifier(spec: str, *, settings: CollectSettings) -> Verifier:
    """The verifier that `spec` describes: `NAME[:key=value,...]`.

    Raises VerifierSetupError, naming what is known or accepted, when there is no such verifier or parameter.
    """
    name, rest = split_spec(spec)
    if name not in REGISTRY:
        raise VerifierSetupError(f"--verifier {spec}: no verifier {name!r}{_meant(name)}; known: {', '.join(REGISTRY)}")
    return REGISTRY[name](rest, settings)


def _meant(name: str) -> str:
    """The way out for a weight that stands in front without its star."""
    found = _STARLESS.fullmatch(name)
    return f": a weight has a star behind it: {found[1]}*{found[2]}" if found and found[2] in REGISTRY else ""


def verifier_of(settings: CollectSettings) -> Verifier | None:
    """The verifier of a run: the one it names, the mix of several, or None. Raises VerifierSetupError."""
    specs = settings.verifier_specs
    if not specs:
        if settings.vetoes:
            raise VerifierSetupError(f"--veto {settings.vetoes[0]}: a veto needs a reward to veto: give --verifier too")
        return None
    if len(specs) == 1 and not settings.vetoes and read_part(specs[0]).plain:
        return build_verifier(specs[0], settings=settings)
    from collector.verifiers.mix import build_mix  # most runs have one verifier

    return build_mix(specs, settings.vetoes, build=lambda spec: build_verifier(spec, settings=settings))
