"""`math`: the reply's answer equals the expected one as math-verify compares them, in processes that can be killed."""

from __future__ import annotations

import math
from decimal import Decimal
from importlib.util import find_spec

from collector.errors import VerifierSetupError
from collector.records.rows import PromptRow, Reply, Task, Verdict
from collector.settings import CollectSettings
from collector.verifiers.fields import bad_field, find_field, kind_of, problem_in
from collector.verifiers.pooled import POOL_PARAMETERS, PooledVerifier, pool_from
from collector.verifiers.spec import read_parameters
from collector.verifiers.workers.pool import WorkerPool

__all__ = ["MathVerifier", "build_math"]

_LOOKED_AT = 8192
"""Characters of a reply that are searched for the answer; math-verify's search takes time quadratic in them."""
_BEFORE = 1024
"""Of these, at most so many in front of a box that stands further up."""


class MathVerifier(PooledVerifier):
    """1 when the reply's answer equals the row's `field`, else 0; `extracted_answer` says what was read in it."""

    name = "math"

    def __init__(self, pool: WorkerPool, field: str = "expected_answer", *, precision: int = 6, strict: bool = True):
        super().__init__(pool)
        self._field = field
        self._options = {"precision": precision, "strict": strict}

    async def verify(self, task: Task, reply: Reply) -> Verdict:
        """Raises VerifierError when the row lacks the field or it holds no mathematics, and for an answer that takes
        too much time or memory to compare."""
        request = {"expected": self._expected(task.row), "text": _part_with_answer(reply.text), **self._options}
        answer = await self._ask(task, request)
        if answer.get("unreadable"):
            raise bad_field(task.row, self._field, "holds no mathematics that math-verify can read")
        return Verdict(float(answer["equal"]), fields={"extracted_answer": answer["extracted"]})

    def check(self, row: PromptRow) -> str | None:
        return problem_in(row, self._expected)

    def _expected(self, row: PromptRow) -> str:
        value = find_field(row, self._field)
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return f"{Decimal(repr(value)):f}"  # 1e-07 would be read as 1 times e minus 7
        if not isinstance(value, str) or not value.strip():
            shown = "is empty" if isinstance(value, str) else f"is {kind_of(value)}"
            raise bad_field(row, self._field, f"{shown}; a number or an expression is needed")
        return value


def build_math(rest: str, settings: CollectSettings) -> MathVerifier:
    """From `math[:field=...,precision=...,strict=...,timeout=...,workers=...]`.

    Raises VerifierSetupError, also when math-verify is not installed.
    """
    given = read_parameters("math", rest, ("field", "precision", "strict", *POOL_PARAMETERS))
    if find_spec("math_verify") is None or find_spec("antlr4") is None:
        raise VerifierSetupError("--verifier math needs math-verify: pip install 'pairmill[math]'")
    return MathVerifier(
        pool_from(given, "math_job.py"),
        given.text("field", "expected_answer"),
        precision=given.count("precision", 6),
        strict=given.flag("strict", True),
    )


def _part_with_answer(text: str) -> str:
    """The end of a reply, or the part around its last box when that stands further up."""
    end = len(text) - _LOOKED_AT
    box = text.rfind("\\boxed")
    if end <= 0 or box < 0 or box >= end:
        return text[max(0, end) :]
    start = max(0, box - _BEFORE)
    return text[start : start + _LOOKED_AT]
