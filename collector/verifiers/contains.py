"""`contains`: the expected text, or every text of a list, stands somewhere in the reply."""

from __future__ import annotations

from collector.records.rows import PromptRow, Reply, Task, Verdict
from collector.settings import CollectSettings
from collector.verifiers.base import BaseVerifier
from collector.verifiers.fields import bad_field, find_field, problem_in, text_field
from collector.verifiers.spec import read_parameters

__all__ = ["ContainsVerifier", "build_contains"]


class ContainsVerifier(BaseVerifier):
    """1 when the reply holds the row's `field` (all of it, when it is a list), else 0."""

    name = "contains"
    waits = False

    def __init__(self, field: str = "expected_answer", *, ignore_case: bool = False) -> None:
        self._field = field
        self._ignore_case = ignore_case

    async def verify(self, task: Task, reply: Reply) -> Verdict:
        """Raises VerifierError when the row lacks the field, or it is empty, or neither text nor a list of texts."""
        text = self._plain(reply.text)
        return Verdict(float(all(self._plain(wanted) in text for wanted in self._wanted(task.row))))

    def check(self, row: PromptRow) -> str | None:
        return problem_in(row, self._wanted)

    def _wanted(self, row: PromptRow) -> list[str]:
        value = find_field(row, self._field)
        texts = value if isinstance(value, list) else [text_field(row, self._field)]
        if not texts or not all(isinstance(text, str) and text for text in texts):
            # Nothing, or an empty text, stands in every reply: that is a mistake in the row, not a reward of 1.
            raise bad_field(row, self._field, "is empty or holds no text; one text, or a list of texts, is needed")
        return texts

    def _plain(self, text: str) -> str:
        return text.casefold() if self._ignore_case else text


def build_contains(rest: str, settings: CollectSettings) -> ContainsVerifier:
    """From `contains[:field=...,ignore_case=...]`. Raises VerifierSetupError."""
    given = read_parameters("contains", rest, ("field", "ignore_case"))
    return ContainsVerifier(given.text("field", "expected_answer"), ignore_case=given.flag("ignore_case", False))
