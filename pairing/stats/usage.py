"""What the rows say beside their answers: tokens, finish reasons, flags. Ours and NeMo Gym's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import msgspec

from pairing.filters.rows import row_fields
from pairing.reading.rollouts import BrokenLine, Rollout

__all__ = ["OTHERS", "Usage"]

OTHERS = "(others)"
_NAMES_KEPT = 64
_NAME = 60
_MOST_TOKENS = 2**53
_MOST_SAMPLES = 10_000
"""Of one request, as the collector has it."""
_IN, _OUT = ("input_tokens", "prompt_tokens"), ("output_tokens", "completion_tokens")


class _Response(msgspec.Struct, gc=False):
    usage: Any = None
    status: Any = None


class _Row(msgspec.Struct, gc=False):
    """The fields that pairing itself has no use for."""

    usage: Any = None
    shared_usage: Any = None
    flags: Any = None
    response: _Response | None = None


_decode = msgspec.json.Decoder(_Row).decode


class Usage:
    """Sums over the rollouts that stand: an attempt that gave way to a later one is not among them."""

    def __init__(self) -> None:
        self.rollouts = 0
        self.known = 0
        """Rollouts whose rows tell their tokens."""
        self.finish_reasons: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()
        self._sums: dict[int, list[int]] = {}
        """Input and output tokens by how many rollouts share each count: whole numbers, exact in any order."""

    def add(self, rollout: Rollout) -> None:
        row = _row(rollout)
        self.rollouts += 1
        status = None if row.response is None else row.response.status
        reason = rollout.row.finish_reason or (status if isinstance(status, str) else None)
        _count(self.finish_reasons, reason or "(not said)")
        for flag in row.flags if isinstance(row.flags, list) else ():
            if isinstance(flag, str):
                _count(self.flags, flag)
        tokens = _tokens(row)
        if tokens is not None:
            self.known += 1
            asked, said, samples = tokens
            sums = self._sums.setdefault(samples, [0, 0])
            sums[0] += asked
            sums[1] += said

    @property
    def input_tokens(self) -> int | None:
        return round(self._total(0)) if self.known else None

    @property
    def output_tokens(self) -> int | None:
        return round(self._total(1)) if self.known else None

    def per_million(self, pairs: int) -> float | None:
        """Pairs for a million output tokens, rollouts that do not tell theirs taken to be as long as the others."""
        spent = self._total(1)
        return float(pairs * 10**6 * self.known / (spent * self.rollouts)) if spent else None

    def _total(self, side: int) -> Fraction:
        return sum((Fraction(sums[side], samples) for samples, sums in self._sums.items()), Fraction())


def _row(rollout: Rollout) -> _Row:
    try:
        return _decode(rollout.line)
    except (msgspec.MsgspecError, RecursionError):
        pass
    try:
        found = row_fields(rollout)
    except (BrokenLine, RecursionError):
        return _Row()
    response = found.get("response")
    answer = _Response(response.get("usage"), response.get("status")) if isinstance(response, dict) else None
    return _Row(found.get("usage"), found.get("shared_usage"), found.get("flags"), answer)


def _tokens(row: _Row) -> tuple[int, int, int] | None:
    """Input and output tokens, and how many rollouts share them: the row's own; else what the samples of its request
    took together; else those of the reply as it came."""
    own = _pair(row.usage)
    if own is not None:
        return *own, 1
    shared = _pair(row.shared_usage)
    if shared is not None:
        samples = _whole(row.shared_usage.get("samples")) or 1
        return *shared, min(samples, _MOST_SAMPLES)
    reply = None if row.response is None else _pair(row.response.usage)
    return None if reply is None else (*reply, 1)


def _pair(usage: Any) -> tuple[int, int] | None:
    """(input, output) of either interface's words."""
    if not isinstance(usage, Mapping):
        return None
    found = [next((n for name in names if (n := _whole(usage.get(name))) is not None), None) for names in (_IN, _OUT)]
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS else None


def _count(counts: Counter[str], name: str) -> None:
    """One more of `name`; a server that makes names up gets no memory for them."""
    name = name[:_NAME]
    counts[name if name in counts or len(counts) < _NAMES_KEPT else OTHERS] += 1
