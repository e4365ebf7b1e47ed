"""The journal: rows on disk when they are acknowledged, healed after a crash, sealed into aabbcc order, read again.

Names come from their modules when they are first used: who only reads a finished file waits for no event loop.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collector.journal.digest import file_digest
    from collector.journal.journal import Journal, open_journal
    from collector.journal.paths import StreamPaths, check_output
    from collector.journal.preview import rollouts_there, rows_there
    from collector.journal.reader import Line, iter_lines, read_rollouts
    from collector.journal.runfile import RunFile, RunState, read_run_file, write_run_file
    from collector.journal.seal import SealResult

__all__ = [
    "Journal",
    "Line",
    "RunFile",
    "RunState",
    "SealResult",
    "StreamPaths",
    "check_output",
    "file_digest",
    "iter_lines",
    "open_journal",
    "read_rollouts",
    "read_run_file",
    "rollouts_there",
    "rows_there",
    "write_run_file",
]

_HOMES = {
    "collector.journal.digest": ("file_digest",),
    "collector.journal.journal": ("Journal", "open_journal"),
    "collector.journal.paths": ("StreamPaths", "check_output"),
    "collector.journal.preview": ("rollouts_there", "rows_there"),
    "collector.journal.reader": ("Line", "iter_lines", "read_rollouts"),
    "collector.journal.runfile": ("RunFile", "RunState", "read_run_file", "write_run_file"),
    "collector.journal.seal": ("SealResult",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)
