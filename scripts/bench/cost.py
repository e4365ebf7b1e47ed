"""Part cost: CPU of the client for each rollout, from the row that is read to the sealed file, beside bare loops."""

from __future__ import annotations

from pathlib import Path

from bench.clients import Run, run_client
from bench.findings import Figure, Findings, median, spread
from bench.prompts import REPEATS
from bench.sizes import Sizes

__all__ = ["measure_cost"]

_MOST_MS = 0.25
_FEW = 10 * REPEATS
"""Rollouts of the run that stands for start-up."""
_HTTPX_IN_FLIGHT = 32
"""Above it, httpx's own pool takes milliseconds more for each request."""


def measure_cost(sizes: Sizes, folder: Path) -> Findings:
    """Zero latency, 2 KB replies. Clients take turns, and the turn order changes with each round."""
    found = Findings("cost")
    for in_flight in sizes.cost_levels:
        found.data[f"in_flight_{in_flight}"] = _level(sizes, folder, in_flight, found.figures)
    httpx = run_client("httpx", folder, sizes.httpx_rollouts, min(_HTTPX_IN_FLIGHT, sizes.httpx_rollouts))
    found.data["httpx"] = {"in_flight": httpx.in_flight, "all_in_ms": median([httpx.cpu_ms])}
    found.figures.append(Figure(f"bare httpx loop, {httpx.in_flight} in flight", httpx.cpu_ms, "ms"))
    return found


def _level(sizes: Sizes, folder: Path, in_flight: int, figures: list[Figure]) -> dict[str, object]:
    ours: list[Run] = []
    bare: list[Run] = []
    few: dict[str, list[Run]] = {"pairmill": [], "aiohttp": []}
    for number in range(sizes.rounds):
        turns = [("pairmill", ours), ("aiohttp", bare)]
        for client, runs in turns if number % 2 == 0 else reversed(turns):
            runs.append(run_client(client, folder, sizes.cost_rollouts, in_flight))
            few[client].append(run_client(client, folder, _FEW, in_flight))
    our_ms, bare_ms = [run.cpu_ms for run in ours], [run.cpu_ms for run in bare]
    our_net, bare_net = _net(ours, few["pairmill"]), _net(bare, few["aiohttp"])
    ratios = [one / other for one, other in zip(our_ms, bare_ms, strict=True)]
    at = f"{in_flight} in flight"
    figures += [
        Figure(f"CPU a rollout, all in, {at}", median(our_ms), "ms", _MOST_MS, note=spread(our_ms)),
        Figure(f"the same without start-up, {at}", median(our_net), "ms", note=spread(our_net)),
        Figure(f"bare aiohttp loop, {at}", median(bare_ms), "ms", note=spread(bare_ms)),
        Figure(f"ours / bare aiohttp, {at}", median(ratios), "x", 1.0, note=spread(ratios)),
    ]
    return {
        "rollouts": ours[-1].rollouts,
        "all_in_ms": median(our_ms),
        "net_ms": median(our_net),
        "bare_all_in_ms": median(bare_ms),
        "bare_net_ms": median(bare_net),
        "ratio": median(ratios),
        "net_ratio": median([one / other for one, other in zip(our_net, bare_net, strict=True)]),
        "server_ms": median(run.server_cpu * 1e3 / run.rollouts for run in ours),
        "connections": ours[-1].counts.connections,
        "rounds": {"ours_ms": [round(ms, 4) for ms in our_ms], "bare_ms": [round(ms, 4) for ms in bare_ms]},
    }


def _net(runs: list[Run], few: list[Run]) -> list[float]:
    """Milliseconds a rollout without what a run of few rollouts takes, round by round."""
    return [
        (run.usage.cpu - start.usage.cpu) * 1e3 / (run.rollouts - start.rollouts)
        for run, start in zip(runs, few, strict=True)
    ]
