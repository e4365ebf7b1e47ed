"""`numeric`: the number that the reply gives as its answer equals the expected one."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

from collector.records.rows import PromptRow, Reply, Task, Verdict
from collector.settings import CollectSettings
from collector.verifiers.base import BaseVerifier
from collector.verifiers.fields import bad_field, find_field, kind_of, problem_in
from collector.verifiers.numbers import Number, find_number
from collector.verifiers.spec import read_parameters

__all__ = ["NumericVerifier", "build_numeric"]

_ROUNDING = Fraction(1, 10**6)
"""Two decimals this near, relative to the expected one, are the same answer: replies round."""


class NumericVerifier(BaseVerifier):
    """1 when the reply's answer is the row's number, else 0; `extracted_answer` says what was read in the reply.

    Whole numbers must be equal, others within 1e-6 of the expected one, relative to it. A `tolerance` replaces both
    rules. A percent sign is a unit and is not looked at, unless `percent_divides`: then 50% is 0.5.
    """

    name = "numeric"
    waits = False

    def __init__(
        self, field: str = "expected_answer", *, tolerance: float | None = None, percent_divides: bool = False
    ) -> None:
        self._field = field
        self._tolerance = None if tolerance is None else Fraction(Decimal(repr(tolerance)))
        self._percent_divides = percent_divides

    async def verify(self, task: Task, reply: Reply) -> Verdict:
        """Raises VerifierError when the row lacks the field, or there is no number in it."""
        expected = self._expected(task.row)
        answer = find_number(reply.text)
        right = answer is not None and self._equal(self._value(answer), expected)
        return Verdict(float(right), fields={"extracted_answer": answer and answer.text})

    def check(self, row: PromptRow) -> str | None:
        return problem_in(row, self._expected)

    def _expected(self, row: PromptRow) -> Fraction:
        value = find_field(row, self._field)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            # A float stands for the decimal it is written as: 0.1 is a tenth.
            return Fraction(Decimal(repr(value)))
        number = find_number(value) if isinstance(value, str) else None
        if number is None:
            shown = "holds no number" if isinstance(value, str) else f"is {kind_of(value)}; a number is needed"
            raise bad_field(row, self._field, shown)
        return self._value(number)

    def _value(self, number: Number) -> Fraction:
        return number.value / 100 if number.percent and self._percent_divides else number.value

    def _equal(self, answer: Fraction, expected: Fraction) -> bool:
        if self._tolerance is not None:
            return abs(answer - expected) <= self._tolerance * abs(expected)
        if answer.denominator == expected.denominator == 1:
            return answer == expected
        return abs(answer - expected) <= _ROUNDING * abs(expected)


def build_numeric(rest: str, settings: CollectSettings) -> NumericVerifier:
    """From `numeric[:field=...,tolerance=...,percent=ignore|divide]`. Raises VerifierSetupError."""
    given = read_parameters("numeric", rest, ("field", "tolerance", "percent"))
    return NumericVerifier(
        given.text("field", "expected_answer"),
        tolerance=given.number("tolerance", 0.0) if given.given("tolerance") else None,
        percent_divides=given.choice("percent", ("ignore", "divide")) == "divide",
    )
