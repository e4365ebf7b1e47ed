"""Pairing: rollouts in, preference pairs out.

    from pairing import BestWorst, build_pairs, iter_groups

The names are loaded when they are first used: a command's start-up should not pay for what it does not use.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # typing's own says the same, and takes longer to read than all of this
if TYPE_CHECKING:
    from typing import Any

    from pairing.build import build_pairs
    from pairing.guards import Guards
    from pairing.pairs import Pair
    from pairing.reading.groups import Group, iter_groups
    from pairing.reading.rollouts import Rollout
    from pairing.reports.advice import hints
    from pairing.reports.display import render_funnel, side_by_side
    from pairing.reports.funnel import PairReport, SamplePair
    from pairing.settings import PairSettings
    from pairing.strategies import BestWorst

_HOMES = {
    "pairing.reports.advice": ("hints",),
    "pairing.build": ("build_pairs",),
    "pairing.reports.display": ("render_funnel", "side_by_side"),
    "pairing.reports.funnel": ("PairReport", "SamplePair"),
    "pairing.reading.groups": ("Group", "iter_groups"),
    "pairing.guards": ("Guards",),
    "pairing.pairs": ("Pair",),
    "pairing.reading.rollouts": ("Rollout",),
    "pairing.settings": ("PairSettings",),
    "pairing.strategies": ("BestWorst",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "BestWorst",
    "Group",
    "Guards",
    "Pair",
    "PairReport",
    "PairSettings",
    "Rollout",
    "SamplePair",
    "build_pairs",
    "hints",
    "iter_groups",
    "render_funnel",
    "side_by_side",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
