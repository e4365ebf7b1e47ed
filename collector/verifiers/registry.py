"""The verifiers by name, and how a specification becomes one. An extension is one more entry in `REGISTRY`."""

from __future__ import annotations

from collections.abc import Callable

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
from collector.verifiers.spec import split_spec

__all__ = ["REGISTRY", "Builder", "build_verifier", "verifier_of"]

Builder = Callable[[str, CollectSettings], Verifier]
"""Takes what stands behind `NAME:` in the specification, and the run's settings. Raises VerifierSetupError."""

REGISTRY: dict[str, Builder] = {
    "exact": build_exact,
    "numeric": build_numeric,
    "contains": build_contains,
    "regex": build_regex,
    "python": build_function,
    "http": build_http,
    "embedded": build_embedded,
}


def build_verifier(spec: str, *, settings: CollectSettings) -> Verifier:
    """The verifier that `spec` describes: `NAME[:key=value,...]`.

    Raises VerifierSetupError, naming what is known or accepted, when there is no such verifier or parameter.
    """
    name, rest = split_spec(spec)
    if name not in REGISTRY:
        raise VerifierSetupError(f"--verifier {spec}: no verifier {name!r}; known: {', '.join(REGISTRY)}")
    return REGISTRY[name](rest, settings)


def verifier_of(settings: CollectSettings) -> Verifier | None:
    """The verifier of a run: the one it names, or None. Raises VerifierSetupError."""
    specs = settings.verifier_specs
    return build_verifier(specs[0], settings=settings) if specs else None
