"""How much each part of the benchmark measures, by the time that one has."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SIZES", "Sizes"]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Rollouts come in groups of four; `rounds` are repetitions, of which the median counts."""

    rounds: int
    cost_rollouts: int
    cost_levels: tuple[int, ...]
    httpx_rollouts: int
    load_rounds: int
    load_rollouts: int
    load_in_flight: int
    load_latency: float
    memory_rollouts: tuple[int, int]
    memory_in_flight: int
    start_rounds: int
    file_rows: tuple[int, ...]


_USUAL = Sizes(
    rounds=3,
    cost_rollouts=20_000,
    cost_levels=(128, 1_000),
    httpx_rollouts=1_000,
    load_rounds=3,
    load_rollouts=20_000,
    load_in_flight=4_000,
    load_latency=2.0,
    memory_rollouts=(20_000, 200_000),
    memory_in_flight=128,
    start_rounds=5,
    file_rows=(10_000, 100_000),
)

SIZES = {
    "tiny": Sizes(
        rounds=1,
        cost_rollouts=80,
        cost_levels=(8,),
        httpx_rollouts=40,
        load_rounds=1,
        load_rollouts=80,
        load_in_flight=40,
        load_latency=0.3,
        memory_rollouts=(80, 160),
        memory_in_flight=8,
        start_rounds=1,
        file_rows=(40, 80),
    ),
    "quick": Sizes(
        rounds=2,
        cost_rollouts=6_000,
        cost_levels=(128, 1_000),
        httpx_rollouts=400,
        load_rounds=1,
        load_rollouts=12_000,
        load_in_flight=4_000,
        load_latency=2.0,
        memory_rollouts=(10_000, 40_000),
        memory_in_flight=128,
        start_rounds=3,
        file_rows=(10_000, 50_000),
    ),
    "usual": _USUAL,
    "full": Sizes(
        rounds=5,
        cost_rollouts=_USUAL.cost_rollouts,
        cost_levels=_USUAL.cost_levels,
        httpx_rollouts=_USUAL.httpx_rollouts,
        load_rounds=3,
        load_rollouts=40_000,
        load_in_flight=_USUAL.load_in_flight,
        load_latency=_USUAL.load_latency,
        memory_rollouts=(20_000, 1_000_000),
        memory_in_flight=_USUAL.memory_in_flight,
        start_rounds=9,
        file_rows=(10_000, 100_000, 1_000_000),
    ),
}
