"""`exact`: the reply is the expected text, nothing more and nothing less."""

from __future__ import annotations

from collector.records.rows import PromptRow, Reply, Task, Verdict
from collector.settings import CollectSettings
from collector.verifiers.base import BaseVerifier
from collector.verifiers.fields import problem_in, text_field
from collector.verifiers.spec import read_parameters

__all__ = ["ExactVerifier", "build_exact"]


class ExactVerifier(BaseVerifier):
    """1 when the reply equals the row's `field`, else 0. White space around both is ignored when `strip`."""

    name = "exact"
    waits = False

    def __init__(self, field: str = "expected_answer", *, ignore_case: bool = False, strip: bool = True) -> None:
        self._field = field
        self._ignore_case = ignore_case
        self._strip = strip

    async def verify(self, task: Task, reply: Reply) -> Verdict:
        """Raises VerifierError when the row lacks the field, or it is no text."""
        expected = text_field(task.row, self._field)
        return Verdict(float(self._plain(reply.text) == self._plain(expected)))

    def check(self, row: PromptRow) -> str | None:
        return problem_in(row, lambda row: text_field(row, self._field))

    def _plain(self, text: str) -> str:
        if self._strip:
            text = text.strip()
        return text.casefold() if self._ignore_case else text


def build_exact(rest: str, settings: CollectSettings) -> ExactVerifier:
    """From `exact[:field=...,ignore_case=...,strip=...]`. Raises VerifierSetupError."""
    given = read_parameters("exact", rest, ("field", "ignore_case", "strip"))
    return ExactVerifier(
        given.text("field", "expected_answer"),
        ignore_case=given.flag("ignore_case", False),
        strip=given.flag("strip", True),
    )
