"""What is to be scored, whichever file it stands in: a task, its reply, and how the row is written with a verdict."""

from __future__ import annotations

from functools import cached_property
from typing import Protocol

from collector.records.rows import Reply, Task, Verdict
from collector.reverify.rebuild import rebuild_reply, rebuild_task
from collector.reverify.splice import rescored
from collector.reverify.survey import Found, load_row

__all__ = ["Candidate", "Standing"]


class Candidate(Protocol):
    """One rollout to be scored."""

    @property
    def task(self) -> Task: ...

    @property
    def endpoint(self) -> str:
        """The server that answered, as the row says it; "" when it does not."""

    def answer(self) -> Reply:
        """The reply to be judged. Raises VerifierError when there is none."""

    def scored(self, reply: Reply, verdict: Verdict) -> bytes:
        """The row with the verdict, its newline included. Raises RolloutError when it cannot be written."""


class Standing:
    """A row of the rollouts file, or of the incomplete ones beside it."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._row = load_row(found.raw, found.line)

    @cached_property
    def task(self) -> Task:
        return rebuild_task(self._row, self._found.key, self._found.line.number)

    @property
    def endpoint(self) -> str:
        endpoint = self._row.get("endpoint")
        return endpoint if isinstance(endpoint, str) else ""

    def answer(self) -> Reply:
        return rebuild_reply(self._row, self._found.raw)

    def scored(self, reply: Reply, verdict: Verdict) -> bytes:
        return rescored(self._found.raw, verdict, None if self._found.numbered else self._found.key)
