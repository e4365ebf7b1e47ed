"""The strategies by name, and how a specification becomes one. A new one is a module of this room with a frozen
dataclass (see `base.Strategy`), one entry in STRATEGIES, and its place in docs/strategies.md.

    best_worst                    the name alone: every parameter at its default
    best_random:n=2,seed=7        parameters by name, separated by commas
    mine:pick, ./mine.py:pick     a function of the user's own, see `function`
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from collector.errors import UsageError
from pairing.strategies.auto import Auto
from pairing.strategies.base import Choice, Pool, Strategy, reward_of
from pairing.strategies.best import BestRandom, BestSecond, NBestWorst
from pairing.strategies.best_worst import BestWorst
from pairing.strategies.length_matched import LengthMatched
from pairing.strategies.mu_sigma import MuSigma
from pairing.strategies.presets import Air, Rip
from pairing.strategies.several import Adjacent, AllAboveGap, CorrectIncorrect

__all__ = ["STRATEGIES", "BestWorst", "Choice", "Pool", "Strategy", "make_strategy", "reward_of"]

STRATEGIES: Mapping[str, Callable[..., Strategy]] = {
    strategy.name: strategy
    for strategy in (
        Adjacent,
        Air,
        AllAboveGap,
        Auto,
        BestRandom,
        BestSecond,
        BestWorst,
        CorrectIncorrect,
        LengthMatched,
        MuSigma,
        NBestWorst,
        Rip,
    )
}
"""Factories: each takes the parameters by name."""

_READERS: Mapping[str, Callable[[str], Any]] = {"float": float, "int": int, "str": str}


def make_strategy(spec: str, **shared: Any) -> Strategy:
    """The strategy that `spec` names, with its parameters; of `shared` (`min_gap`, `seed`) it takes those that it has
    a field for and that `spec` does not give.

    Raises UsageError for an unknown name or parameter, for a value that is none, and for a function that cannot be
    loaded.
    """
    name, _, rest = spec.partition(":")
    if name not in STRATEGIES:
        return _other(spec, name, rest)
    factory: Any = STRATEGIES[name]
    kinds = {field.name: str(field.type) for field in fields(factory)}
    given = dict(_parameter(part, kinds, spec) for part in rest.split(",") if part)
    strategy: Strategy = factory(**{key: value for key, value in shared.items() if key in kinds} | given)
    return strategy


def _other(spec: str, name: str, rest: str) -> Strategy:
    near = difflib.get_close_matches(name, STRATEGIES, n=1, cutoff=0.8)
    if rest and "=" not in rest and not near:
        from pairing.strategies.function import FromFunction  # with what a view of rollouts needs

        return FromFunction(spec)
    meant = f"; did you mean {near[0]}?" if near else ""
    raise UsageError(f"--strategy {spec}: give one of {', '.join(sorted(STRATEGIES))}, or module:function{meant}")


def _parameter(part: str, kinds: Mapping[str, str], spec: str) -> tuple[str, Any]:
    key, equals, text = part.partition("=")
    if not equals or key not in kinds:
        known = ", ".join(sorted(kinds)) or "none"
        raise UsageError(f"--strategy {spec}: no parameter {key!r}; it has {known}, each given as name=value")
    try:
        return key, _READERS[kinds[key].split(" ")[0]](text)
    except ValueError:
        raise UsageError(f"--strategy {spec}: {key} {text!r} is no {kinds[key].split(' ')[0]}") from None
