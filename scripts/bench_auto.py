"""Measures `--num-samples-in-parallel auto` beside fixed numbers: on a server, the embedded one by default, in rounds
whose order changes, or, with --simulate, in the tests' simulation of a server with continuous batching.

Prints a table, and ends with one JSON line. A rate is that of a whole run, its start and its end included.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from collector.cli import collect_in_terminal
from collector.client import ModelClient
from collector.collecting import collect
from collector.embedded.process import EmbeddedServer
from collector.embedded.tasks import prompt_rows
from collector.load import LoadWatch, ServerLoad
from collector.result import CollectResult
from collector.settings import CollectSettings
from tests.adaptive.simulated_run import Faults, Outcome, Shape
from tests.adaptive.simulation import FAULTS, FEW_LONG, SHAPES, SHORT, auto, best_fixed, blind, refusals_alone, run

_AUTO = "auto"
_POLL = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulate", action="store_true", help="no server: the simulation's shapes and faults")
    parser.add_argument("--markdown", action="store_true", help="the table as Markdown")
    parser.add_argument("--base-url", metavar="URL", help="a server (default: the embedded one)")
    parser.add_argument("--model", metavar="NAME")
    parser.add_argument("--input", type=Path, metavar="PATH", help="prompts (default: those of the embedded model)")
    parser.add_argument("--levels", default="16,32,64,96,128", metavar="N,N", help="fixed numbers")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    parser.add_argument("--prompts", type=int, default=300, metavar="N")
    parser.add_argument("--num-repeats", type=int, default=4, metavar="N")
    args = parser.parse_args()
    if args.simulate:
        rows = list(_simulated())
        _print(rows, args.markdown)
        sys.stdout.write(json.dumps({"simulated": rows}) + "\n")
        return
    runs = collect_in_terminal(lambda: _measured(args))
    summary = _summary(runs)
    _print(list(_rows(runs, summary)), args.markdown)
    sys.stdout.write(json.dumps({"summary": summary, "runs": [asdict(each) for each in runs]}) + "\n")


@dataclass(frozen=True, slots=True)
class Measured:
    """One run on a server. `cpu` is what the embedded server used, in seconds, 0 for another's. `running` and `waiting`
    are means of what its metrics said; the others were its limits."""

    level: str
    round: int
    rollouts: int
    seconds: float
    cpu: float
    running: float
    waiting: float
    lowest: int = 0
    highest: int = 0
    last: int = 0

    @property
    def rate(self) -> float:
        return self.rollouts / self.seconds

    @property
    def rate_of_cpu(self) -> float:
        """Rollouts a second of the server's CPU: on a machine that others use it is the steadier figure."""
        return self.rollouts / self.cpu if self.cpu else 0.0


async def _measured(args: argparse.Namespace) -> list[Measured]:
    """Every level in every round, in an order of its own, after one run that warms the server up."""
    levels = [*args.levels.split(","), _AUTO]
    runs: list[Measured] = []
    server = nullcontext() if args.base_url else EmbeddedServer()
    with tempfile.TemporaryDirectory() as folder:
        async with server as embedded:
            base_url = args.base_url or embedded.base_url  # type: ignore[union-attr]
            pid = 0 if args.base_url else embedded.pid  # type: ignore[union-attr]
            await _one(args, base_url, Path(folder) / "warm", levels[0], 0, pid)
            for number in range(1, args.rounds + 1):
                order = random.Random(number).sample(levels, len(levels))
                for level in order:
                    runs.append(await _one(args, base_url, Path(folder) / f"{number}-{level}", level, number, pid))
                    sys.stderr.write(f"round {number}: {level}: {runs[-1].rate:.1f} rollouts/s\n")
    return runs


async def _one(args: argparse.Namespace, base_url: str, folder: Path, level: str, number: int, pid: int) -> Measured:
    settings = CollectSettings(
        input=args.input or prompt_rows("train"),
        output=folder / "rollouts.jsonl",
        base_url=base_url,
        model=args.model,
        limit=args.prompts,
        num_repeats=args.num_repeats,
        num_samples_in_parallel=1024 if level == _AUTO else int(level),
        parallel_min=1 if level == _AUTO else None,
        params={"temperature": 0.8},
        seed=number,
    )
    loads: list[ServerLoad] = []
    async with ModelClient(settings) as client, anyio.create_task_group() as group:
        watch = LoadWatch({"server": client}, interval=_POLL, seen=lambda _, load: loads.append(load))
        group.start_soon(watch.watch)
        before = _cpu(pid)
        result = await collect(settings)
        cpu = _cpu(pid) - before
        group.cancel_scope.cancel()
    return _measured_of(level, number, result, cpu, loads)


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process of this machine has used; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _measured_of(level: str, number: int, result: CollectResult, cpu: float, loads: Sequence[ServerLoad]) -> Measured:
    limits = result.limits
    given = {} if limits is None else {"lowest": limits.lowest, "highest": limits.highest, "last": limits.last}
    return Measured(
        level=level,
        round=number,
        rollouts=result.rollouts,
        seconds=round(result.seconds, 3),
        cpu=round(cpu, 2),
        running=round(statistics.fmean(load.running for load in loads), 1) if loads else 0.0,
        waiting=round(statistics.fmean(load.waiting for load in loads), 1) if loads else 0.0,
        **given,
    )


def _summary(runs: Sequence[Measured]) -> dict[str, Any]:
    """The best fixed number by the median of its rounds, and auto's rate over its: of the medians, and round by
    round."""
    rates = {level: statistics.median(_rates(runs, level)) for level in dict.fromkeys(each.level for each in runs)}
    fixed = {level: rate for level, rate in rates.items() if level != _AUTO}
    best = max(fixed, key=lambda level: fixed[level])
    rounds = [mine / other for mine, other in zip(_rates(runs, _AUTO), _rates(runs, best), strict=True)]
    return {
        "best_fixed": int(best),
        "best_fixed_rate": round(rates[best], 2),
        "auto_rate": round(rates[_AUTO], 2),
        "auto_share": round(rates[_AUTO] / rates[best], 3),
        "auto_share_by_round": [round(share, 3) for share in rounds],
        "auto_share_by_cpu": round(_median_of_cpu(runs, _AUTO) / max(map(partial(_median_of_cpu, runs), fixed)), 3),
    }


def _median_of_cpu(runs: Sequence[Measured], level: str) -> float:
    return statistics.median(each.rate_of_cpu for each in runs if each.level == level) or 1.0


def _rates(runs: Sequence[Measured], level: str) -> list[float]:
    return [each.rate for each in sorted(runs, key=lambda each: each.round) if each.level == level]


def _rows(runs: Sequence[Measured], summary: dict[str, Any]) -> Iterator[dict[str, str]]:
    fixed = sorted({int(each.level) for each in runs if each.level != _AUTO})
    for level in (*map(str, fixed), _AUTO):
        mine = [each for each in runs if each.level == level]
        rates = _rates(runs, level)
        running = statistics.fmean(each.running for each in mine)
        waiting = statistics.fmean(each.waiting for each in mine)
        yield {
            "in flight": level,
            "rollouts/s": f"{statistics.median(rates):.1f} ({min(rates):.1f}-{max(rates):.1f})",
            "of the best": f"{statistics.median(rates) / summary['best_fixed_rate']:.0%}",
            "a second of its CPU": f"{statistics.median(each.rate_of_cpu for each in mine):.1f}",
            "running": f"{running:.1f}",
            "waiting": f"{waiting:.1f}",
            "limits": ", ".join(f"{each.lowest}-{each.highest}" for each in mine) if level == _AUTO else "",
        }


def _simulated() -> Iterator[dict[str, str]]:
    cases: list[tuple[str, Shape, Faults]] = [(shape.name, shape, Faults()) for shape in (*SHAPES, FEW_LONG)]
    cases += [(name, SHORT, faults) for name, faults in FAULTS.items()]
    for name, shape, faults in cases:
        best = best_fixed(shape, faults)
        row = {"load": name, "best fixed": f"{best.number}: {best.outcome.rate:.2f}/s{_beside(best.outcome)}"}
        for title, policy in (("auto", auto), ("429s alone", refusals_alone), ("gradient, at most 64", blind)):
            outcome = run(shape, policy, faults)
            row[title] = f"{outcome.rate / best.outcome.rate:.0%}{_beside(outcome)}"
        yield row


def _beside(outcome: Outcome) -> str:
    """What a rate cost: the queue as a share of what ran, the wait for the first token, work thrown away."""
    parts = [f"waiting {outcome.waiting_share:.0%}"]
    if outcome.ttft_p95 >= 1:
        parts.append(f"{outcome.ttft_p95:.0f} s to a token")
    if outcome.preemptions:
        parts.append(f"{outcome.preemptions} preempted")
    if outcome.refusals:
        parts.append(f"{outcome.refusals} refused")
    return f" ({', '.join(parts)})"


def _print(rows: Sequence[dict[str, str]], markdown: bool) -> None:
    names = list(rows[0])
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in names}
    edge, between = ("| ", " | ") if markdown else ("", "  ")
    lines = [[name.ljust(widths[name]) for name in names]]
    if markdown:
        lines.append(["-" * widths[name] for name in names])
    lines += [[row[name].ljust(widths[name]) for name in names] for row in rows]
    for line in lines:
        sys.stdout.write(f"{edge}{between.join(line)}{edge[::-1]}".rstrip() + "\n")


if __name__ == "__main__":
    main()
