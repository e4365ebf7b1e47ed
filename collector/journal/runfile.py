"""The run file: what a run was asked, how far it came, and whether another run may go on from there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
import orjson

from collector.errors import ResumeError
from collector.journal.disk import DISK, Disk, close_quietly, reporting, write_all
from collector.journal.paths import StreamPaths, scratch_of
from collector.journal.scoring import SPECIFICATIONS, what_scores

__all__ = ["RunFile", "RunState", "check_same_run", "now", "read_run_file", "settings_differences", "write_run_file"]

RunState = Literal["running", "interrupted", "stopped", "collected", "finished"]
"""running: lives, or was killed. interrupted: by the user. stopped: by an error. collected: all rows are there, not
yet sealed. finished: sealed."""

_ABSENT = "not set"
_LONG = 100
"""Characters of a value that is shown whole."""
_AROUND = 40


class RunFile(msgspec.Struct, kw_only=True, frozen=True):
    """The content of rollouts.run.json. Times are UTC, ISO 8601, whole seconds."""

    pairmill: str
    """The version that wrote it."""
    state: RunState
    settings: dict[str, Any]
    """What decides the content of the rollouts (`CollectSettings.identity()`)."""
    settings_digest: str
    """SHA-256 of `settings` as JSON with sorted keys, hex."""
    input: dict[str, Any]
    """`sha256` of the input file, and its `path` when it is known."""
    verifier_code: str | None = None
    """SHA-256 of the user's own scoring code. A change is told on resume, not refused: mending a score that raised is
    why one resumes."""
    counts: dict[str, Any] = {}
    started: str
    finished: str | None = None

    @classmethod
    def begin(
        cls,
        identity: Mapping[str, Any],
        input_digest: str,
        input_path: Path | None = None,
        verifier_code: str | None = None,
    ) -> RunFile:
        from importlib.metadata import version  # late: costs 17 ms of start-up

        canonical = orjson.dumps(dict(identity), option=orjson.OPT_SORT_KEYS)
        return cls(
            pairmill=version("pairmill"),
            state="running",
            settings=orjson.loads(canonical),  # as it will be read back: tuples are lists by then
            settings_digest=hashlib.sha256(canonical).hexdigest(),
            input={"sha256": input_digest} if input_path is None else {"path": str(input_path), "sha256": input_digest},
            verifier_code=verifier_code,
            started=now(),
        )


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def write_run_file(path: Path, run: RunFile, disk: Disk = DISK) -> None:
    """Replaces the file at once: a reader, or a crash, sees the old content or the new. Raises OutputError."""
    data = orjson.dumps(msgspec.to_builtins(run), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    scratch = scratch_of(path)
    with reporting(path, "the rows are safe: make room, then run again with --resume"):
        fd = disk.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            write_all(disk, fd, data, 0)
            disk.sync(fd)
        finally:
            close_quietly(fd)
        disk.replace(scratch, path)
        disk.sync_folder(path.parent)


def read_run_file(path: Path) -> RunFile | None:
    """The run file, or None when there is none. Fields of later versions are read over.

    Raises ResumeError when it cannot be read or is no run file.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunFile)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ResumeError(f"{path}: cannot be read: {error.strerror}; make it readable") from None
    except msgspec.DecodeError as error:
        raise ResumeError(f"{path}: is no run file: {error}; start anew with --overwrite") from None


def check_same_run(paths: StreamPaths, run: RunFile) -> RunFile:
    """The run file of the rows in `paths`, from which `run` may go on. Raises ResumeError when it may not: there is no
    such file, or its settings are others, each named."""
    before = read_run_file(paths.run)
    if before is None:
        raise ResumeError(
            f"{paths.rollouts}: cannot be resumed: {paths.run} is missing, so its settings are not known;"
            " move the rows away, or start anew with --overwrite"
        )
    differences = settings_differences(before, run)
    if differences:
        raise ResumeError(
            f"{paths.rollouts}: was made with other settings ({'; '.join(differences)});"
            " give the old ones, or another --output, or start anew with --overwrite"
        )
    return before


def settings_differences(before: RunFile, after: RunFile) -> list[str]:
    """One `name: was X, now Y` per difference that forbids to resume, names sorted, nested ones as `params.top_p`. Of
    long texts (a prompt template) the part around their first difference is shown.

    Four differences forbid nothing. A limit that has grown adds prompts and changes none; with early stop, most
    repeats that have grown add samples to prompts that had their most. And a model that is named is the same wherever
    it is served: a node that died must not take its rollouts with it. An endpoint of no named model (an agent's) is all
    that is known of what answered, and stays.
    """
    was = {**_flat(before.settings), "input sha256": before.input.get("sha256")}
    is_now = {**_flat(after.settings), "input sha256": after.input.get("sha256")}
    forgiven = {"limit"} if _has_grown(was.get("limit"), is_now.get("limit")) else set()
    if was.get("until_gap") is not None and _has_grown(was.get("num_repeats"), is_now.get("num_repeats")):
        forgiven.add("num_repeats")
    if was.get("model") is not None and was.get("model") == is_now.get("model"):
        forgiven.add("endpoint")
    forgiven |= {name for name in SPECIFICATIONS if what_scores(was.get(name)) == what_scores(is_now.get(name))}
    differing = {
        name: (_shown(was, name), _shown(is_now, name))
        for name in sorted((was.keys() | is_now.keys()) - forgiven)
        if _shown(was, name) != _shown(is_now, name)
    }
    return [f"{name}: {_change(*values)}" for name, values in differing.items() if not _is_told(name, differing)]


def _is_told(name: str, differing: Mapping[str, tuple[str, str]]) -> bool:
    """Whether an object is empty on one side alone, and its members, each a difference of its own, say so."""
    return set(differing[name]) == {_ABSENT, "{}"} and any(other.startswith(f"{name}.") for other in differing)


def _has_grown(was: int | None, is_now: int | None) -> bool:
    """Whether a limit leaves in all rows that it left in before; None leaves in all."""
    return was is not None and (is_now is None or is_now > was)


def _flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, Mapping) and item:
            flat.update(_flat(item, f"{prefix}{name}."))
        else:
            flat[prefix + name] = item
    return flat


def _shown(values: Mapping[str, Any], name: str) -> str:
    return orjson.dumps(values[name], option=orjson.OPT_SORT_KEYS).decode() if name in values else _ABSENT


def _change(was: str, now: str) -> str:
    if max(len(was), len(now)) <= _LONG:
        return f"was {was}, now {now}"
    at = next(
        (at for at, (one, other) in enumerate(zip(was, now, strict=False)) if one != other), min(len(was), len(now))
    )
    return f"was {_around(was, at)}, now {_around(now, at)}"


def _around(text: str, at: int) -> str:
    start, end = max(0, at - _AROUND), at + _AROUND
    return ("..." if start else "") + text[start:end] + ("..." if end < len(text) else "")
