"""`pairmill tune`: successive halving over sampling settings, the collector bringing the rollouts of each arm.

Every arm's rollouts stand in a folder of their own, a stream like any other: they can be paired, and --resume goes on
from them, as the same halving over the same rollouts comes to the same decisions.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collector.cli import collect_in_terminal, endpoint_of, resume_command
from collector.errors import EXIT_INTERRUPTED, EXIT_PARTIAL, OutputError, ResumeError, UsageError
from collector.options import settings_from
from collector.options.first_run import EMBEDDED, bring_prompts, need_verifier, wants_embedded
from collector.terminal import plain, print_line
from pairing.planning.asked import Asked
from pairing.reading.groups import iter_groups
from pairing.tuning.files import draw_pilot, write_whole
from pairing.tuning.findings import Finding, finding_of
from pairing.tuning.grid import Arm, Grid, Rung, fitted, requests_of
from pairing.tuning.halving import RungResult, halve
from pairing.tuning.options import grid_of
from pairing.tuning.progress import RungBar
from pairing.tuning.report import budget, repeats_table, report, rung_table, summary
from pairing.tuning.scores import ArmData

if TYPE_CHECKING:
    from collector.settings import CollectSettings
    from collector.stopping import StopSwitch

__all__ = ["tune"]


class _Interrupted(Exception):  # noqa: N818 - the user's wish, no error
    """The run was asked to stop; what was collected is on disk."""


@dataclass(frozen=True, slots=True)
class _Tune:
    """One tune, checked. `collect` is what every arm shares: its input is the pilot."""

    folder: Path
    grid: Grid
    rungs: tuple[Rung, ...]
    collect: CollectSettings
    pairing: Asked
    max_truncated: float
    eta: int
    embedded: bool
    budget: tuple[str, ...]
    progress: str


def tune(args: argparse.Namespace) -> int:
    """Samples, compares, writes summary.json and report.md, prints the flags to use. Exit code 3 when rollouts cannot
    tell of any."""
    asked = _asked(args)
    for line in asked.budget:
        print_line(line)
    if args.dry_run:
        print_line("dry run: nothing is sent, nothing is written")
        return 0
    results = collect_in_terminal(lambda: _run(asked))
    if results is None:
        command = resume_command(sys.argv)
        sys.stderr.write(f"interrupted: what was collected is on disk; go on with\n  {command}\n")
        return EXIT_INTERRUPTED
    return _finish(asked, results)


def _asked(args: argparse.Namespace) -> _Tune:
    """Everything that can be checked without a request. Raises the PairmillErrors of a run, and UsageError."""
    from collector.prompts import check_rows
    from collector.verifiers import verifier_of

    if args.until_gap is not None:
        raise UsageError("--until-gap: leave it out: a tune needs every repeat; pairmill plan tells of early stop")
    if args.metrics_port is not None:
        raise UsageError("--metrics-port: leave it out: tune serves no metrics")
    grid = grid_of(args)
    pairing = Asked.of(args, (args.min_gap,))
    embedded = _complete(args)
    base_url = "http://127.0.0.1" if embedded else endpoint_of(args)
    if base_url is None:
        raise UsageError("no server: give --base-url URL; --agent-name NAME goes with --protocol agent")
    pilot = args.output_dir / "pilot.jsonl"
    settings = settings_from(_plain(args, grid), base_url=base_url, output=args.output_dir / "rollouts.jsonl")
    if embedded:
        settings = replace(settings, endpoint_name=EMBEDDED)
    verifier = verifier_of(settings)
    rows = check_rows(settings, verifier.check if verifier else None).rows
    most = grid.repeats[-1]
    rungs = fitted(len(grid.arms), args.pilot, args.eta, rows, most, args.max_requests)
    lines = budget(grid, rungs, settings.params.get("max_output_tokens"))
    if rungs[0].prompts < min(args.pilot, rows):
        lines.append(f"  the pilot is {rungs[0].prompts} prompts, not {args.pilot}, to keep to --max-requests")
    if not args.dry_run:
        _place_pilot(args, pilot, rungs[-1].prompts)
    collect = replace(settings, input=pilot, limit=None) if not args.dry_run else settings
    return _Tune(
        args.output_dir,
        grid,
        rungs,
        collect,
        pairing,
        args.max_truncated,
        args.eta,
        embedded,
        tuple(lines),
        args.progress,
    )


def _complete(args: argparse.Namespace) -> bool:
    """Fills in what a tune brings along where it was not given; True when that includes the embedded server."""
    bring_prompts(args)
    embedded = wants_embedded(args)
    if embedded:
        print_line("model: the embedded one (--base-url URL for yours)")
    need_verifier(args)
    return embedded


def _plain(args: argparse.Namespace, grid: Grid) -> argparse.Namespace:
    """The flags as those of one collection: each arm puts its own temperature and top_p in."""
    first = grid.arms[0]
    own = {"temperature": (first.temperature,), "top_p": first.top_p, "num_repeats": grid.repeats[-1]}
    return argparse.Namespace(**{**vars(args), **own})


def _place_pilot(args: argparse.Namespace, pilot: Path, prompts: int) -> None:
    """Writes the pilot's prompts; on --resume they must be the ones that are there. Raises OutputError, ResumeError."""
    drawn = draw_pilot(args.input, prompts, args.seed, args.limit)
    there = pilot.read_bytes() if pilot.is_file() else None
    if there is not None and args.resume:
        if there != drawn:
            raise ResumeError(
                f"{pilot}: holds other prompts than --input, --seed, --limit, --pilot and the grid give now: go on with"
                " the same, or start anew with --overwrite"
            )
        return
    if there is not None and not args.overwrite:
        raise OutputError(f"{pilot}: exists already: --resume goes on, --overwrite starts anew, or give another folder")
    write_whole(pilot, drawn)


class _Collected:
    """A Sampler: the collector, one arm at a time."""

    def __init__(self, asked: _Tune, base_url: str | None, stop: StopSwitch, bar: RungBar) -> None:
        self._asked = asked
        self._base_url = base_url or asked.collect.base_url
        self._stop = stop
        self._bar = bar
        self._begun: set[Arm] = set()

    async def sample(self, arm: Arm, prompts: int) -> ArmData:
        """Raises _Interrupted, and the PairmillErrors of a collection."""
        from collector.collecting import collect

        settings = self._settings(arm, prompts)
        settings.output.parent.mkdir(parents=True, exist_ok=True)
        self._bar.arm(arm)
        result = await collect(settings, observer=self._bar, stop=self._stop)
        if result.interrupted or self._stop.thrown:
            raise _Interrupted
        groups = (group for group in iter_groups(settings.output) if (group.task_index or 0) < prompts)
        pilot = self._asked.pairing.read(groups, self._asked.grid.repeats, settings.seed)
        self._bar.sampled(pilot.prompts, pilot.rollouts)
        return ArmData(pilot.prompts, prompts * settings.num_repeats - pilot.rollouts)

    def _settings(self, arm: Arm, prompts: int) -> CollectSettings:
        """An arm goes on with what its folder holds, once it has begun or when the whole tune goes on."""
        shared = self._asked.collect
        output = self._asked.folder / "arms" / arm.name / "rollouts.jsonl"
        goes_on = shared.resume or arm in self._begun
        self._begun.add(arm)
        return replace(
            shared,
            base_url=self._base_url,
            output=output,
            params={**shared.params, "temperature": arm.temperature, "top_p": arm.top_p},
            limit=max(prompts, _limit_of(output)) if goes_on else prompts,
            resume=goes_on,
            overwrite=shared.overwrite and not goes_on,
        )


def _limit_of(output: Path) -> int:
    """How many prompts the run in an arm's folder was last asked for; 0 when there is none. An earlier tune may have
    gone further than the rung that is now done again: its rollouts stay."""
    from collector.journal import StreamPaths, read_run_file

    before = read_run_file(StreamPaths.for_output(output).run)
    limit = before.settings.get("limit") if before else None
    return limit if isinstance(limit, int) else 0


async def _run(asked: _Tune) -> tuple[RungResult, ...] | None:
    """None when it was interrupted."""
    from collector.embedded.process import EmbeddedServer
    from collector.interrupt import interruptible

    requests = requests_of(asked.rungs, asked.grid.repeats[-1])
    bar = RungBar(requests, asked.progress)

    async def halved(stop: StopSwitch) -> tuple[RungResult, ...] | None:
        try:
            if not asked.embedded:
                return await _halved(asked, None, stop, bar)
            async with EmbeddedServer() as server:
                return await _halved(asked, server.base_url, stop, bar)
        except _Interrupted:
            return None

    try:
        return await interruptible(halved, bar.note)
    finally:
        bar.close()


async def _halved(asked: _Tune, base_url: str | None, stop: StopSwitch, bar: RungBar) -> tuple[RungResult, ...]:
    sampler = _Collected(asked, base_url, stop, bar)
    return await halve(
        asked.grid,
        asked.rungs,
        sampler,
        asked.pairing.rule,
        max_truncated=asked.max_truncated,
        seed=asked.collect.seed,
        told=lambda number, result: bar.say("\n" + rung_table(number + 1, result)),
    )


def _finish(asked: _Tune, results: tuple[RungResult, ...]) -> int:
    finding = finding_of(asked.grid, results, asked.max_truncated)
    shared: dict[str, Any] = {
        "seed": asked.collect.seed,
        "eta": asked.eta,
        "max_truncated": asked.max_truncated,
        "min_gap": asked.pairing.gaps[0],
        "requests": requests_of(asked.rungs[: len(results)], asked.grid.repeats[-1]),
    }
    found = json.dumps(summary(asked.grid, shared, results, finding), indent=2, allow_nan=False)
    write_whole(asked.folder / "summary.json", found.encode() + b"\n")
    write_whole(asked.folder / "report.md", report(asked.budget, results, finding).encode())
    return _tell(asked, finding)


def _tell(asked: _Tune, finding: Finding) -> int:
    if finding.best is not None:
        print_line("\n" + repeats_table(finding.best))
    for line in finding.warnings:
        print_line(f"note: {plain(line)}")
    print_line(f"{plain(str(asked.folder))}: report.md, summary.json; arms/ holds the rollouts of each arm")
    if finding.best is None:
        sys.stdout.flush()
        sys.stderr.write(f"pairmill: {plain(finding.why)}\n")
        return EXIT_PARTIAL
    print_line(finding.flags)
    return 0
