"""The run that wrote the rollouts, as its run file tells it: how many of them a prompt has, and what it was asked."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

from collector.errors import InputError, PairmillError, ResumeError
from collector.journal import RunFile, StreamPaths, file_digest, read_run_file
from collector.prompts.repeats import repeats_for
from collector.records.rows import PromptRow
from collector.settings import CollectSettings

__all__ = ["Origin"]

REVERIFIED = "reverify"
"""In a run file's settings: its rollouts came from another file, not from a server."""
_PLACEHOLDER = "http://127.0.0.1"


class Origin:
    """What is known of the run behind `paths`: nothing, for a file that some other program wrote."""

    def __init__(self, paths: StreamPaths) -> None:
        self.run = _read(paths)
        self.settings = None if self.run is None else _settings(self.run, paths)

    def repeats_of(self, row: PromptRow) -> int:
        """How many rollouts the run wanted of a prompt; 1 where nobody knows."""
        if self.settings is None:
            return 1
        try:
            return repeats_for(row, self.settings)
        except InputError:
            return 1

    def repeats(self) -> dict[str, Any]:
        """What decides `repeats_of`, for the run file of the rescored rollouts: they may be scored again in turn."""
        if self.settings is None:
            return {}
        names = ("num_repeats", "repeats_by_agent", "agent_name")
        return {name: value for name in names if (value := getattr(self.settings, name))}

    def problem(self) -> str | None:
        """Why the prompts that the run read cannot be read again, or None."""
        if self.run is None or self.settings is None:
            return "the file that says what was asked (.run.json) is missing or cannot be read"
        if REVERIFIED in self.run.settings:
            return "they were scored again before: do that anew from the first file"
        try:
            same = file_digest(self.settings.input) == self.run.input.get("sha256")
        except InputError as error:
            return str(error)
        return None if same else f"{self.settings.input} has changed since"


def _read(paths: StreamPaths) -> RunFile | None:
    try:
        return read_run_file(paths.run)
    except ResumeError:
        return None


def _settings(run: RunFile, paths: StreamPaths) -> CollectSettings | None:
    """The settings of the run, as far as they decided what was asked; None when they are of another make."""
    if "num_repeats" not in run.settings:
        return None
    known = {field.name for field in fields(CollectSettings)} - {"verifier", "vetoes"}
    asked: dict[str, Any] = {name: value for name, value in run.settings.items() if name in known and value is not None}
    if "temperatures" in asked:
        asked["temperatures"] = tuple(asked["temperatures"])
    source = Path(str(run.input.get("path") or "input.jsonl"))
    try:
        return CollectSettings(input=source, output=paths.rollouts, base_url=_PLACEHOLDER, **asked)
    except (PairmillError, TypeError, ValueError):
        return None
