"""The job of `math`: does the answer in a text equal the expected one, as math-verify compares mathematics?

math-verify's own time limits are off: they are signals that stop no arithmetic on large numbers. The worker's are on.
"""

from __future__ import annotations

import functools
import logging
import re
from typing import Any

from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse, verify

__all__ = ["answer"]

logging.disable(logging.CRITICAL)  # it logs what it cannot parse, and that it has no time limit

_WHERE = (LatexExtractionConfig(boxed_match_priority=0), ExprExtractionConfig())
_MARKED = re.compile(r"\\boxed|\\\(|\\\[|\$[^$]*\$")
"""Signs that an expected text says itself where the mathematics in it stands."""
_SHORT = 500
_SHOWN = 200


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """{"equal": ..., "extracted": ...} for {"expected", "text", "precision", "strict"}; `extracted` is what was read in
    `text`, or None. {"unreadable": true} when there is no mathematics in `expected`."""
    expected = _expected(request["expected"])
    if not expected:
        return {"unreadable": True}
    readings = _readings(request["text"])
    right = (found for found in readings if any(_equal(one, other, request) for one in expected for other in found))
    equal = next(right, None)
    shown = next((item for item in equal or readings[0] if isinstance(item, str)), None)
    return {"equal": equal is not None, "extracted": shown and shown[:_SHOWN]}


def _readings(text: str) -> list[list[Any]]:
    """The answers that a text may be taken to give. math-verify reads several boxes as a set, which is right for a
    list of solutions and wrong for second thoughts: so the last box counts alone as well."""
    last = text.rfind("\\boxed")
    if last < 0 or "\\boxed" not in text[:last]:
        return [_read(text)]
    return [_read(text[last:]), _read(text)]


@functools.lru_cache(maxsize=1024)
def _expected(text: str) -> tuple[Any, ...]:
    """What an expected answer may mean: bare LaTeX, a number, a text around LaTeX, GSM8K's worked solution."""
    text = text.rpartition("####")[2].strip()
    if _MARKED.search(text) or len(text) > _SHORT:
        return tuple(_read(text))
    # Bare: the whole text is the answer. Without the box `2x + 3y` would be read as its first number.
    return tuple(_read(f"\\boxed{{{text}}}") or _read(text))


def _read(text: str) -> list[Any]:
    """The answer in a text as an expression, with its source behind it; only the source when it cannot be parsed."""
    found: list[Any] = parse(text, extraction_config=_WHERE, parsing_timeout=None)
    return found


def _equal(one: Any, other: Any, request: dict[str, Any]) -> bool:
    options = {"float_rounding": request["precision"], "strict": request["strict"]}
    try:
        return bool(verify([one], [other], timeout_seconds=None, raise_on_error=True, **options))
    except MemoryError:
        raise
    except Exception:
        return False  # what cannot be compared, a set with an equation for one, is not equal
