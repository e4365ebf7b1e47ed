"""What a verifier is: a name, a judgement on one reply, an early check of one row, and a context for what it holds."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from collector.records.rows import PromptRow, Reply, Task, Verdict

__all__ = ["BaseVerifier", "Verifier"]


class Verifier(Protocol):
    """Scores replies. `verify` may run many times at once; enter the verifier as an async context before the first."""

    name: str
    code_digest: str | None
    """SHA-256 of the code that scores, where that is the user's own: it may change between a run and its resume."""
    waits: bool
    """Whether `verify` may wait: for a network, a thread. Such a verdict is made beside the next request; others are
    made at once."""

    async def verify(self, task: Task, reply: Reply) -> Verdict:
        """The judgement on one reply. An empty or truncated reply is data and is scored as it is.

        Raises VerifierError, and nothing else, when there is no judgement: the row becomes a failure, never a zero.
        """
        ...

    def check(self, row: PromptRow) -> str | None:
        """Why this row cannot be scored whatever the reply, or None. Meant for the first row, before any request: the
        caller puts the file and line in front."""
        ...

    async def __aenter__(self) -> Self:
        """Opens what the verifier holds. Raises ServerError when a server it needs cannot be reached."""
        ...

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class BaseVerifier:
    """The parts that most verifiers leave alone: no resources, nothing to check early."""

    name = "verifier"
    code_digest: str | None = None
    waits = True

    def check(self, row: PromptRow) -> str | None:
        """No opinion about the row."""
        return None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None
