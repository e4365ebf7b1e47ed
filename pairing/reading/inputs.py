"""What --input names: files, and patterns that the shell did not expand, without what a run or a pairing keeps beside.

A path that exists is itself, whatever characters it has. A pattern stands for the rollouts files it matches, by name.
"""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from collector.errors import InputError, PairmillError
from collector.journal import StreamPaths
from pairing.reading.compression import plain_name

__all__ = ["expanded"]


def expanded(inputs: Sequence[Path | str], leave: Collection[Path] = ()) -> Iterator[Path]:
    """The paths of `inputs`, patterns in their place replaced by what they match, by name. `leave` are files that are
    about to be written: no pattern means them.

    Raises InputError for a pattern that matches no rollouts file.
    """
    for given in map(Path, inputs):
        if given.exists() or not glob.has_magic(str(given)):
            yield given
            continue
        yield from _matches(given, {path.resolve() for path in leave})


def _matches(pattern: Path, leave: Collection[Path]) -> list[Path]:
    found = [path for path in map(Path, sorted(glob.glob(str(pattern), recursive=True))) if path.is_file()]  # noqa: PTH207 - Path.glob takes no absolute pattern
    kept_beside = {beside.resolve() for path in found for beside in _beside(path)}
    rollouts = [path for path in found if path.resolve() not in kept_beside and path.resolve() not in leave]
    if not rollouts:
        what = "matches no rollouts file" if found else "no such file"
        raise InputError(f"{pattern}: {what} (--input)")
    return rollouts


def _beside(path: Path) -> Iterator[Path]:
    """The files that the run of `path` keeps beside it, compressed or not. Those of incomplete groups have their own
    rule, see `files.input_files`."""
    with suppress(PairmillError):
        files = StreamPaths.for_output(plain_name(path))
        for beside in (files.failures, files.decisions, files.limits, files.incomplete, files.run, files.lock):
            yield beside
            yield from (beside.with_name(beside.name + suffix) for suffix in (".gz", ".zst"))
