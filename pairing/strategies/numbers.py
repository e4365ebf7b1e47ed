"""The checks of strategies' parameters: each raises UsageError, naming the strategy, the parameter and its value."""

from __future__ import annotations

import math

from collector.errors import UsageError

__all__ = ["between", "finite", "positive"]


def positive(strategy: str, name: str, value: int) -> None:
    """1 or more."""
    if value < 1:
        raise _wrong(strategy, name, value, "1 or more")


def finite(strategy: str, name: str, value: float, *, least: float = -math.inf, above: float = -math.inf) -> None:
    """A finite number, at least `least` and greater than `above`."""
    if not math.isfinite(value) or value < least or value <= above:
        wanted = f"a number over {above:g}" if above > -math.inf else "a number"
        raise _wrong(strategy, name, value, f"{least:g} or more" if least > -math.inf else wanted)


def between(strategy: str, name: str, value: float, least: float, below: float) -> None:
    """From `least` to under `below`."""
    if not least <= value < below:
        raise _wrong(strategy, name, value, f"a number from {least:g} to under {below:g}")


def _wrong(strategy: str, name: str, value: float, wanted: str) -> UsageError:
    return UsageError(f"--strategy {strategy}:{name}={value}: give {wanted}")
