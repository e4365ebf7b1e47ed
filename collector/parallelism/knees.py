"""Where throughput stops to grow: three ways to read it off a curve. Pure numbers, nothing measured here.

`plateau` is the recommendation: it needs no model of the server. The other two are fits, and say so when they have no
answer. X is rollouts a second, N requests in flight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

__all__ = ["SHARE", "Scalability", "Segments", "disagreement", "fit_scalability", "fit_segments", "plateau"]

SHARE = 0.95
"""Of the highest throughput: what a level must reach to be as good as the best one."""
_STEPS = 200
_FLATTER = 0.5
"""A knee is where the slope falls to half of what it was, or less."""
_FAR_APART = 2.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Segments:
    """Two straight lines through log X over log N, which meet at `knee`; a slope of 1 is throughput that doubles when N
    does, 0 one that stays."""

    knee: float
    slope_before: float
    slope_after: float
    height: float
    """X at the knee."""


@dataclass(frozen=True, slots=True)
class Scalability:
    """Gunther's universal scalability law, X(N) = rate N / (1 + contention (N-1) + coherence N (N-1)). `knee` is the
    smallest N at which the curve has `SHARE` of its own maximum in the measured range; `peak` is where it is highest,
    None when it never falls. `r2` is the share of the throughput's variance that it explains."""

    rate: float
    contention: float
    coherence: float
    knee: int
    peak: float | None
    r2: float

    def at(self, level: float) -> float:
        """X at that many in flight."""
        beyond = level - 1
        return self.rate * level / (1 + self.contention * beyond + self.coherence * level * beyond)


def plateau(levels: Sequence[int], throughput: Sequence[float]) -> int | None:
    """The smallest level with at least `SHARE` of the highest throughput; None when nothing came through at all."""
    most = max(throughput, default=0.0)
    if most <= 0:
        return None
    return min(level for level, value in zip(levels, throughput, strict=True) if value >= SHARE * most)


def fit_segments(levels: Sequence[int], throughput: Sequence[float]) -> Segments | None:
    """The best two segments, by least squares; None for fewer than four levels, and when the second is not markedly
    flatter than the first: then there is no knee to be seen."""
    if len(levels) < 4 or min(throughput) <= 0:
        return None
    x, y = np.log(np.asarray(levels, float)), np.log(np.asarray(throughput, float))
    best: tuple[float, float, Floats] | None = None
    for knee in np.linspace(x[1], x[-2], _STEPS):
        columns = np.stack([np.ones_like(x), np.minimum(x - knee, 0.0), np.maximum(x - knee, 0.0)], axis=1)
        weights, *_ = np.linalg.lstsq(columns, y, rcond=None)
        error = float(np.sum((columns @ weights - y) ** 2))
        if best is None or error < best[0]:
            best = error, float(knee), weights
    if best is None:
        return None
    _, knee, (height, before, after) = best
    if before <= 0 or after > _FLATTER * before:
        return None
    return Segments(math.exp(knee), float(before), float(after), math.exp(float(height)))


def fit_scalability(levels: Sequence[int], throughput: Sequence[float]) -> Scalability | None:
    """The law's best fit with no negative coefficient; None for fewer than three levels, or where nothing fits.

    N / X is linear in (1, N-1, N(N-1)), so it is least squares, weighted so that relative errors count the same at all
    levels. Of the coefficients, each way to hold some at zero is tried.
    """
    if len(levels) < 3 or min(throughput) <= 0:
        return None
    n, x = np.asarray(levels, float), np.asarray(throughput, float)
    y = n / x
    columns = np.stack([np.ones_like(n), n - 1, n * (n - 1)], axis=1) / y[:, None]
    fits = [fit for used in product((True, False), repeat=2) if (fit := _fit(columns, (True, *used))) is not None]
    if not fits:
        return None
    _, weights = min(fits, key=lambda fit: fit[0])
    rate = 1 / float(weights[0])
    contention, coherence = (float(weight) * rate for weight in weights[1:])
    peak = math.sqrt(max(0.0, 1 - contention) / coherence) if coherence > 0 else None
    law = Scalability(rate, contention, coherence, 0, peak, 0.0)
    fitted = np.array([law.at(level) for level in levels])
    spread = float(np.sum((x - x.mean()) ** 2))
    r2 = 1 - float(np.sum((x - fitted) ** 2)) / spread if spread > 0 else 1.0
    return Scalability(rate, contention, coherence, _knee_of(law, levels[-1]), peak, r2)


def _fit(columns: Floats, used: Sequence[bool]) -> tuple[float, Floats] | None:
    """(squared error, weights) with the unused columns at zero; None when a weight comes out below it."""
    places = [place for place, wanted in enumerate(used) if wanted]
    some, *_ = np.linalg.lstsq(columns[:, places], np.ones(len(columns)), rcond=None)
    if some[0] <= 0 or (some < 0).any():
        return None
    weights = np.zeros(len(used))
    weights[places] = some
    return float(np.sum((columns @ weights - 1) ** 2)), weights


def _knee_of(law: Scalability, most: int) -> int:
    n = np.arange(1, most + 1, dtype=float)
    x = law.rate * n / (1 + law.contention * (n - 1) + law.coherence * n * (n - 1))
    return int(np.argmax(x >= SHARE * x.max())) + 1


def disagreement(knee: int | None, segments: Segments | None, law: Scalability | None) -> str | None:
    """What is to be said of the three together; None when they are within a factor of two of each other."""
    found = {
        "95% of the maximum": knee,
        "two segments": segments.knee if segments else None,
        "the scalability law": law.knee if law else None,
    }
    missing = [name for name, value in found.items() if value is None]
    values = {name: float(value) for name, value in found.items() if value is not None}
    if len(values) < 2:
        return f"no knee by {' and '.join(missing)}" if missing else None
    told = ", ".join(f"{value:.0f} by {name}" for name, value in values.items())
    apart = max(values.values()) / min(values.values()) > _FAR_APART
    if apart:
        return f"the knees disagree: {told}" + (f"; none by {' and '.join(missing)}" if missing else "")
    return f"no knee by {' and '.join(missing)} ({told})" if missing else None
