"""Names the files of one output, and says what already stands there."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from collector.errors import OutputError

__all__ = ["StreamPaths", "check_output"]


@dataclass(frozen=True, slots=True)
class StreamPaths:
    """The files of one output, all in one folder. For `out/rollouts.jsonl`: rollouts_failures.jsonl,
    rollouts_incomplete.jsonl, rollouts_decisions.jsonl, rollouts_limits.jsonl, rollouts.run.json and rollouts.lock; the
    stem of another name is kept."""

    rollouts: Path
    """The journal while a run lives, the sealed file afterwards."""
    failures: Path
    """One row per failed attempt, in the order they failed."""
    incomplete: Path
    """Good rows of groups that lack a member; there only after a seal."""
    decisions: Path
    """One row per prompt, why it stopped; there only after the seal of a run with early stop."""
    limits: Path
    """One row per change of a limit that finds itself."""
    run: Path
    lock: Path

    @classmethod
    def for_output(cls, path: Path | str) -> StreamPaths:
        """The files that belong to `path`. Raises OutputError when the name leaves no room for them beside it."""
        output = Path(path)
        if not output.name:
            raise OutputError(f"{output}: is no file name; give a path such as {output / 'rollouts.jsonl'}")
        stem = output.stem
        paths = cls(
            rollouts=output,
            failures=output.with_name(f"{stem}_failures.jsonl"),
            incomplete=output.with_name(f"{stem}_incomplete.jsonl"),
            decisions=output.with_name(f"{stem}_decisions.jsonl"),
            limits=output.with_name(f"{stem}_limits.jsonl"),
            run=output.with_name(f"{stem}.run.json"),
            lock=output.with_name(f"{stem}.lock"),
        )
        if output in (paths.run, paths.lock):
            raise OutputError(f"{output}: a file of that name is kept beside the output; end it in .jsonl")
        return paths

    @property
    def all(self) -> tuple[Path, ...]:
        return (self.rollouts, self.failures, self.incomplete, self.decisions, self.limits, self.run, self.lock)

    @property
    def scratch(self) -> tuple[Path, ...]:
        """Half-written files that a killed run may leave: they hold nothing that is not elsewhere."""
        return tuple(scratch_of(path) for path in (self.rollouts, self.incomplete, self.decisions, self.run))

    @property
    def overwritten(self) -> Path:
        """The folder of what an --overwrite replaces, there until the new run has its first rollout (see `aside`)."""
        return self.rollouts.with_name(self.rollouts.name + ".overwritten")

    def hold_rows(self) -> bool:
        """Whether there is anything that a fresh start would destroy."""
        return any(_size(path) for path in self._rows)

    @property
    def _rows(self) -> tuple[Path, ...]:
        saved = self.overwritten / self.rollouts.name
        return (self.rollouts, self.incomplete, self.failures, self.decisions, saved)


def scratch_of(path: Path) -> Path:
    """Where a file's next content is written before it replaces the file."""
    return path.with_name(path.name + ".tmp")


def check_output(paths: StreamPaths, *, resume: bool, overwrite: bool) -> None:
    """Raises OutputError when a run may not write to `paths`. Changes nothing, so it can be asked before any work.

    Symbolic links are refused: the sealed file replaces the one it is written over, and would leave the link's target
    as it was.
    """
    for path in paths.all:
        _check_kind(path)
    if paths.hold_rows() and not resume and not overwrite:
        found = next(path for path in paths._rows if _size(path))
        raise OutputError(f"{found}: exists already; go on with --resume, or start anew with --overwrite")


def _check_kind(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(f"{path}: cannot be used: {error.strerror}; give another --output") from None
    if stat.S_ISDIR(mode):
        raise OutputError(f"{path}: is a folder; give a file in it, such as {path / 'rollouts.jsonl'}")
    if stat.S_ISLNK(mode):
        raise OutputError(f"{path}: is a symbolic link; give the path of the file itself")
    if not stat.S_ISREG(mode):
        raise OutputError(f"{path}: is not a regular file; give another --output")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
