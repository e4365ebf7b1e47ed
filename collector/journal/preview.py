"""What a run that goes on would find, for a dry run: reads, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from collector.journal.heal import is_json
from collector.journal.keys import KeySet
from collector.journal.paths import StreamPaths
from collector.journal.reader import Line, iter_lines
from collector.journal.runfile import RunFile, check_same_run
from collector.journal.scan import read_key

__all__ = ["rollouts_there", "rows_there"]


def rollouts_there(paths: StreamPaths, run: RunFile, num_repeats: int) -> KeySet:
    """The rollouts that `run` would find when it goes on, and not ask for again; none where nothing was begun.

    Raises ResumeError and StreamError as that run would.
    """
    there = KeySet(num_repeats)
    if not paths.hold_rows():
        return there
    check_same_run(paths, run)
    for line in rows_there(paths):
        key = read_key(line.path, line.offset, line.raw, num_repeats)
        there.add(key.task_index, key.rollout_index)
    return there


def rows_there(paths: StreamPaths) -> Iterator[Line]:
    """The rows of the journal and those of incomplete groups, without a torn last line, which the run would cut off."""
    for path in (paths.rollouts, paths.incomplete):
        if not path.exists():
            continue
        size = path.stat().st_size
        for line in iter_lines(path):
            end = line.offset + len(line.raw)
            torn = end == size or (end + 1 == size and not is_json(line.raw))
            if not torn:
                yield line
