"""Collector: prompts in, a durable stream of scored rollouts out.

    from collector import CollectSettings, collect, read_rollouts

The names are loaded when they are first used: a command's start-up should not pay for what it does not use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collector.collecting import collect
    from collector.journal import read_rollouts
    from collector.observer import Observer
    from collector.records.rows import PromptRow, Reply, Task, Verdict
    from collector.result import CollectResult
    from collector.settings import CollectSettings, RetryPolicy, Timeouts
    from collector.stopping import StopSwitch

__all__ = [
    "CollectResult",
    "CollectSettings",
    "Observer",
    "PromptRow",
    "Reply",
    "RetryPolicy",
    "StopSwitch",
    "Task",
    "Timeouts",
    "Verdict",
    "collect",
    "read_rollouts",
]

_HOMES = {
    "collector.collecting": ("collect",),
    "collector.journal": ("read_rollouts",),
    "collector.observer": ("Observer",),
    "collector.records.rows": ("PromptRow", "Reply", "Task", "Verdict"),
    "collector.result": ("CollectResult",),
    "collector.settings": ("CollectSettings", "RetryPolicy", "Timeouts"),
    "collector.stopping": ("StopSwitch",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
