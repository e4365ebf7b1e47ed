"""The journal: rows on disk when they are acknowledged, healed after a crash, sealed into aabbcc order, read again."""

from collector.journal.digest import file_digest
from collector.journal.journal import Journal, open_journal
from collector.journal.paths import StreamPaths, check_output
from collector.journal.preview import rollouts_there, rows_there
from collector.journal.reader import Line, iter_lines, read_rollouts
from collector.journal.runfile import RunFile, RunState, read_run_file, write_run_file
from collector.journal.seal import SealResult, seal

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
    "seal",
    "write_run_file",
]
