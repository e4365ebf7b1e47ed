"""`pairmill bench`: the collector's sweep over requests in flight, with the pairs that each level gives.

The sweep itself is the collector's (`collector.parallelism`), which knows nothing of pairs: counting them, by the
pairing stage's own strategy and guards, is put in here.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from collector.cli import collect_in_terminal, endpoint_of, resume_command
from collector.errors import EXIT_INTERRUPTED, EXIT_PARTIAL, UsageError
from collector.options import protocol_of, settings_from
from collector.options.bench import bench_settings, check_fits_bench
from collector.options.first_run import EMBEDDED, EMBEDDED_TEMPERATURE, bring_prompts, wants_embedded
from collector.terminal import plain, print_line
from pairing.guards import Guards
from pairing.options.flags import pair_settings
from pairing.outcomes import Policy, pair_group
from pairing.reading.files import ReadTally
from pairing.reading.groups import groups_by_index
from pairing.settings import PairSettings

if TYPE_CHECKING:
    from collector.parallelism import BenchSettings, CountPairs, Summary, Swept

__all__ = ["bench", "count_pairs"]


def bench(args: argparse.Namespace) -> int:
    """Measures, writes the reports, prints the setting to use. Exit code 3 when a level was not held, rollouts failed,
    or nothing can be recommended."""
    pairing = pair_settings(args)
    policy = pairing.policy()
    check_fits_bench(args)
    embedded = _complete(args)
    base_url = "http://127.0.0.1" if embedded else endpoint_of(args)
    if base_url is None:
        raise UsageError("no server: give --base-url URL; --agent-name NAME goes with --protocol agent")
    collect = settings_from(args, base_url=base_url, output=args.output_dir / "rollouts.jsonl")
    if embedded:
        collect = replace(collect, endpoint_name=EMBEDDED)
    settings = bench_settings(args, collect, args.output_dir, embedded=embedded)
    settings = replace(settings, counting=_counting(pairing))
    if args.dry_run:
        return _show_dry_run(settings)
    run = _on_embedded if embedded else _on_server
    quiet = args.progress == "off"
    return _finish(collect_in_terminal(lambda: run(settings, lambda path: count_pairs(path, policy), quiet)))


def count_pairs(path: Path, policy: Policy) -> dict[int, int]:
    """Task index -> the pairs that the rollouts of that task in `path` give."""
    groups = groups_by_index([path], ReadTally())
    return {group.task_index: len(pair_group(group, policy).kept) for group in groups if group.task_index is not None}


def _counting(pairing: PairSettings) -> str:
    """What decides how many pairs there are, in words."""
    guards = "" if pairing.guards == Guards() else f", {pairing.guards}"
    kind = "" if pairing.gap_kind == "absolute" else f" ({pairing.gap_kind})"
    return f"{pairing.strategy}, gaps of {pairing.min_gap:g} and more{kind}{guards}"


def _show_dry_run(settings: BenchSettings) -> int:
    """The first request, as a run would show it, and the sweep's own plan; nothing is sent or written."""
    from collector.dry_run import dry_run
    from collector.parallelism.terminal import estimate

    request, heading, _ = dry_run(settings.collect).partition("the plan:")
    levels = ", ".join(map(str, settings.coarse)) + ("" if settings.levels else ", and closer around the knee")
    levels += ", and auto" if settings.auto else ""
    autos = settings.passes * settings.auto
    plan = {
        "input": settings.collect.input,
        "output": settings.folder,
        "levels": levels,
        "passes": f"{settings.passes}, {settings.level_seconds:g} s at each level in each",
        "trials": estimate(settings, settings.passes * (len(settings.coarse) + settings.auto), autos)
        + ("" if settings.levels else "; those around the knee come on top"),
    }
    print_line(request + heading + "\n" + "".join(f"\n  {name:<12} {text}" for name, text in plan.items()))
    return 0


def _complete(args: argparse.Namespace) -> bool:
    """Fills in what the first sweep brings along where it was not given; True when that is the embedded server."""
    bring_prompts(args)
    embedded = wants_embedded(args)
    if embedded:
        if args.temperature is None:
            args.temperature = (EMBEDDED_TEMPERATURE,)
        print_line("model: the embedded one (--base-url URL for yours)")
    if args.verifier is None and protocol_of(args) != "agent":
        sys.stderr.write("note: no --verifier: speed alone is measured, no rewards and no pairs\n")
    return embedded


async def _on_server(settings: BenchSettings, count: CountPairs, quiet: bool) -> Swept | None:
    from collector.parallelism.terminal import sweep_watched

    return await sweep_watched(settings, count, quiet=quiet)


async def _on_embedded(settings: BenchSettings, count: CountPairs, quiet: bool) -> Swept | None:
    from collector.embedded.process import EmbeddedServer

    async with EmbeddedServer() as server:
        return await _on_server(
            replace(settings, collect=replace(settings.collect, base_url=server.base_url)), count, quiet
        )


def _finish(swept: Swept | None) -> int:
    if swept is None or swept.summary is None:
        command = resume_command(sys.argv)
        sys.stderr.write(f"interrupted: the trials that were whole are on disk; go on with\n  {command}\n")
        return EXIT_INTERRUPTED
    from collector.parallelism.report import terminal_text

    for line in _reasons(swept.summary):
        sys.stderr.write(f"pairmill: {plain(line)}\n")
    sys.stderr.flush()
    print_line(terminal_text(swept.summary, swept.folder, sys.stdout.encoding or "utf-8"))
    return EXIT_PARTIAL if swept.summary.grave else 0


def _reasons(summary: Summary) -> list[str]:
    from collector.parallelism.report.words import flag_line

    return [flag_line(flag) for flag in summary.grave]
