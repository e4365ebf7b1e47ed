"""The folder of a sweep: what was measured so far, safe after each trial, and the reports at the end.

requests.jsonl grows by one trial at a time; summary.json names the trials that are whole and is replaced at once, so
that a killed sweep goes on with the levels that lack. Lines of a trial that it does not name count for nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import orjson

from collector.errors import OutputError, ResumeError
from collector.journal.disk import reporting
from collector.journal.lock import hold_lock
from collector.parallelism.records import RequestRecord, TrialRecord

__all__ = ["REPORTS", "Folder", "open_folder"]

_REQUESTS, _SUMMARY, _LOCK, _ROWS = "requests.jsonl", "summary.json", "bench.lock", "rollouts.part.jsonl"
REPORTS = ("levels.csv", "report.md", "report.html")
_WAY_OUT = "make room, then run again with --resume"

_read_request = msgspec.json.Decoder(RequestRecord).decode
_read_trials = msgspec.json.Decoder(list[TrialRecord]).decode


class Folder:
    """`trials` are those that are whole, in the order in which they were made. `facts` is what else the summary of an
    earlier part says (the model, the way with caches)."""

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = path
        self.trials: list[TrialRecord] = []
        self.facts: dict[str, Any] = {}
        self.rows = path / _ROWS
        """Where a trial's rollouts lie until its pairs are counted."""
        self._identity = orjson.loads(orjson.dumps(dict(identity)))
        self._begun = False

    def requests(self, level: int) -> Iterator[RequestRecord]:
        """The attempts of a level's whole trials, in the order in which they ended."""
        whole = {trial.trial for trial in self.trials if trial.level == level}
        return (one for one in self._all_requests() if one.trial in whole)

    def add(self, trial: TrialRecord, requests: Sequence[RequestRecord]) -> None:
        """Keeps a whole trial. Raises OutputError."""
        lines = b"".join(msgspec.json.encode(one) + b"\n" for one in requests)
        path = self.path / _REQUESTS
        with reporting(path, _WAY_OUT):
            if not self._begun:
                self._begin()
            with path.open("ab") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
        self.trials.append(trial)
        self.write_summary("running", self.facts)

    def write_summary(self, state: str, facts: Mapping[str, Any]) -> None:
        """Replaces summary.json. Raises OutputError."""
        content = {"state": state, **facts, "settings": self._identity, "trials": msgspec.to_builtins(self.trials)}
        self.write(_SUMMARY, orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))

    def write(self, name: str, content: bytes) -> Path:
        """Replaces a file of the folder at once. Raises OutputError."""
        path = self.path / name
        scratch = path.with_name(name + ".tmp")
        with reporting(path, _WAY_OUT):
            with scratch.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(path)
        return path

    def load(self) -> None:
        """Takes up what an earlier part left. Raises ResumeError for a sweep with other settings."""
        path = self.path / _SUMMARY
        try:
            found = orjson.loads(path.read_bytes())
            self.trials = _read_trials(orjson.dumps(found.pop("trials")))
            settings = found.pop("settings")
        except FileNotFoundError:
            return
        except OSError as error:
            raise ResumeError(f"{path}: cannot be read: {error.strerror}") from None
        except (orjson.JSONDecodeError, msgspec.MsgspecError, KeyError, AttributeError):
            raise ResumeError(f"{path}: is no summary of a sweep; start anew with --overwrite") from None
        self._check(path, settings)
        self.facts = {name: found[name] for name in ("model", "cache", "began") if name in found}

    def _check(self, path: Path, before: Any) -> None:
        now = self._identity
        names = sorted({*before, *now}) if isinstance(before, dict) else ["settings"]
        other = [name for name in names if not isinstance(before, dict) or before.get(name) != now.get(name)]
        if other:
            was = before.get(other[0]) if isinstance(before, dict) else before
            told = f"{other[0]}: was {_short(was)}, now {_short(now.get(other[0]))}"
            raise ResumeError(
                f"{path}: was made with other settings ({told}); give the old ones, or start anew with --overwrite"
            )

    def _begin(self) -> None:
        """Before the first trial: what an earlier sweep left goes, and lines of a trial that is not whole."""
        self._begun = True
        if not self.trials:
            for name in (_REQUESTS, _SUMMARY, *REPORTS):
                (self.path / name).unlink(missing_ok=True)
            return
        whole = {trial.trial for trial in self.trials}
        kept = [msgspec.json.encode(one) + b"\n" for one in self._all_requests() if one.trial in whole]
        self.write(_REQUESTS, b"".join(kept))

    def _all_requests(self) -> Iterator[RequestRecord]:
        path = self.path / _REQUESTS
        if not path.exists():
            return
        with path.open("rb") as file:
            for line in file:
                with suppress(msgspec.MsgspecError):  # a line that a crash cut in two
                    yield _read_request(line)


@contextmanager
def open_folder(path: Path, identity: Mapping[str, Any], *, resume: bool, overwrite: bool) -> Iterator[Folder]:
    """The folder of one sweep, made when it is missing; no other sweep may use it meanwhile.

    Raises OutputError when it holds a sweep already and neither `resume` nor `overwrite` is set, or cannot be written;
    ResumeError when that sweep had other settings.
    """
    with reporting(path, "give another --output-dir"):
        path.mkdir(parents=True, exist_ok=True)
    found = next((path / name for name in (_SUMMARY, _REQUESTS, *REPORTS) if (path / name).exists()), None)
    if found is not None and not (resume or overwrite):
        raise OutputError(f"{found}: exists already; go on with --resume, or start anew with --overwrite")
    with hold_lock(path / _LOCK):
        folder = Folder(path, identity)
        if resume:
            folder.load()
        try:
            yield folder
        finally:
            folder.rows.unlink(missing_ok=True)


def _short(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= 60 else text[:57] + "..."
