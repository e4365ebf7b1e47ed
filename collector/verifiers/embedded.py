"""`embedded`: the graded verifier of the bundled prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from collector.errors import VerifierError
from collector.protocols.server_text import one_line
from collector.records.rows import PromptRow, Reply, Task, Verdict
from collector.settings import CollectSettings
from collector.verifiers.base import BaseVerifier
from collector.verifiers.fields import all_fields
from collector.verifiers.spec import read_parameters

__all__ = ["EmbeddedVerifier", "build_embedded"]

Grade = Callable[[Mapping[str, Any], str], tuple[float, dict[str, float]]]


class EmbeddedVerifier(BaseVerifier):
    """0.1 for the format, 0.6 for the answer, 0.3 for verified steps (`collector.embedded.grading`)."""

    name = "embedded"
    waits = False

    def __init__(self, grade: Grade) -> None:
        self._grade = grade

    async def verify(self, task: Task, reply: Reply) -> Verdict:
        """Raises VerifierError when the row is none of the bundled ones."""
        try:
            return Verdict(*self._grade(all_fields(task.row), reply.text))
        except ValueError as error:
            raise VerifierError(
                f"line {task.row.line}: {one_line(str(error))}", failure_class="missing_field"
            ) from error

    def check(self, row: PromptRow) -> str | None:
        try:
            self._grade(all_fields(row), "")
        except ValueError as error:
            return one_line(str(error))
        return None


def build_embedded(rest: str, settings: CollectSettings) -> EmbeddedVerifier:
    """From `embedded`, which takes no parameter. Raises VerifierSetupError for any."""
    read_parameters("embedded", rest, ())
    from collector.embedded.tasks import grade  # only the runs that use it pay for it

    return EmbeddedVerifier(grade)
