"""The strategies by name, and how a specification becomes one. A new one is a module of this room with a frozen
dataclass (see `base.Strategy`), and one entry in STRATEGIES.

    best_worst                    the name alone: every parameter at its default
    best_worst:min_gap=0.3        parameters by name, separated by commas
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from collector.errors import UsageError
from pairing.strategies.base import Choice, Pool, Strategy, reward_of
from pairing.strategies.best_worst import BestWorst

__all__ = ["STRATEGIES", "BestWorst", "Choice", "Pool", "Strategy", "make_strategy", "reward_of"]

STRATEGIES: Mapping[str, Callable[..., Strategy]] = {BestWorst.name: BestWorst}
"""Factories: each takes the parameters by name."""

_READERS: Mapping[str, Callable[[str], Any]] = {"float": float, "int": int, "str": str}


def make_strategy(spec: str, **shared: Any) -> Strategy:
    """The strategy that `spec` names, with its parameters; of `shared` (`min_gap`, `seed`) it takes those that it has
    a field for and that `spec` does not give.

    Raises UsageError for an unknown name or parameter, and for a value that is none.
    """
    name, _, rest = spec.partition(":")
    if name not in STRATEGIES:
        raise UsageError(f"--strategy {spec}: give one of {', '.join(sorted(STRATEGIES))}")
    factory: Any = STRATEGIES[name]
    kinds = {field.name: str(field.type) for field in fields(factory)}
    given = dict(_parameter(part, kinds, spec) for part in rest.split(",") if part)
    strategy: Strategy = factory(**{key: value for key, value in shared.items() if key in kinds} | given)
    return strategy


def _parameter(part: str, kinds: Mapping[str, str], spec: str) -> tuple[str, Any]:
    key, equals, text = part.partition("=")
    if not equals or key not in kinds:
        known = ", ".join(sorted(kinds)) or "none"
        raise UsageError(f"--strategy {spec}: no parameter {key!r}; it has {known}, each given as name=value")
    try:
        return key, _READERS[kinds[key].split(" ")[0]](text)
    except ValueError:
        raise UsageError(f"--strategy {spec}: {key} {text!r} is no {kinds[key]}") from None
