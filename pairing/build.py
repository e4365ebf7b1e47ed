"""The main path of the pairing stage: files -> groups -> outcomes -> records, and the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from collector.errors import OutputError
from pairing.fast_lane import FastLane
from pairing.formats import Format
from pairing.guards import Guards
from pairing.outcomes import Outcome, Policy, Sink, pair_group
from pairing.output.companions import Companions
from pairing.output.split import SplitWriter, live_path, split_paths
from pairing.output.writer import PairWriter
from pairing.reading.files import input_files
from pairing.reading.groups import Group, NotInOrder, groups_by_index, split_task
from pairing.reading.heads import HeadsMislead, runs_by_heads
from pairing.reading.plain_rows import Run, Trust, runs_in_order
from pairing.reading.positional import groups_by_position
from pairing.reports.funnel import REASONS, PairReport, Tally
from pairing.settings import MEBIBYTE, PairSettings
from pairing.strategies import BestWorst, Strategy
from pairing.workers import can_share, pair_in_workers

__all__ = ["all_fit", "build_pairs", "pair_writer", "published", "write_pairs"]


def build_pairs(
    inputs: Sequence[Path | str] | Path | str,
    output: Path | str,
    *,
    strategy: str | Strategy | None = None,
    guards: Guards | None = None,
    format: str | Format = "trl",
    overwrite: bool = False,
    include_incomplete: bool = True,
    workers: int = 1,
) -> PairReport:
    """Write the pairs of one or several rollouts files to `output`, one record a line, by task index.

    `strategy` is BestWorst() unless given, `guards` are Guards(). The file of incomplete groups beside each input is
    read too. The output appears when it is whole; with no pair at all it is an empty file, and with no rollout in the
    input nothing is written (`PairReport.written`). Input in task order (a sealed file) is read once, any other
    twice, with the same result.

    Raises UsageError (no inputs, unknown format), InputError (a file that cannot be read), OutputError (the output
    holds pairs already, is an input, or cannot be written).
    """
    settings = PairSettings(
        strategy=strategy or BestWorst(),
        guards=guards or Guards(),
        format=format,
        include_incomplete=include_incomplete,
        workers=workers,
    )
    return write_pairs([inputs] if isinstance(inputs, Path | str) else inputs, Path(output), settings, overwrite)


def write_pairs(inputs: Sequence[Path | str], output: Path, settings: PairSettings, overwrite: bool) -> PairReport:
    """The same for settings that are checked already."""
    if not output.name:
        raise OutputError(f"{output} is a folder: give a file")
    policy = settings.policy()
    companions = Companions(output, policy.target, settings.card)
    files = input_files(
        inputs,
        include_incomplete=settings.include_incomplete and settings.group_size is None,
        leave=(*outputs_of(output), *companions.paths),
    )
    with pair_writer(output, policy.target, settings, overwrite=overwrite, inputs=files) as writer:
        passes, tally = 1, Tally()
        try:
            if settings.group_size is not None:
                pair_all(groups_by_position(files, settings.group_size, tally.read), policy, tally, writer)
            elif can_share(files, settings.workers):
                pair_in_workers(files[0], policy, tally, writer, settings.workers, pair_runs)
            else:
                trust = Trust(lost=not FastLane.takes(policy))
                pair_runs(runs_in_order(files, tally.read, trust), trust, policy, tally, writer)
        except NotInOrder:
            passes, tally = 2, _pair_in_no_order(files, policy, settings.index_memory * MEBIBYTE, writer)
        report = tally.report(output=output, policy=policy, passes=passes)
        return published(report, writer, companions) if report.written else report


def published(report: PairReport, writer: PairWriter | SplitWriter, companions: Companions) -> PairReport:
    """Gives what was written its name, and writes what stands beside it."""
    writer.commit()
    report = replace(report, adapted=dict(writer.adapted), outputs=writer.outputs, rows=writer.rows)
    return replace(report, beside=tuple(companions.write(report, writer.columns)))


def outputs_of(output: Path) -> tuple[Path, ...]:
    """Every file that a name of the output stands for: itself, its splits, and the live files of each."""
    named = (output, *split_paths(output))
    return (*named, *map(live_path, named))


def pair_writer(
    output: Path, target: Format, settings: PairSettings, *, overwrite: bool, inputs: Sequence[Path]
) -> PairWriter | SplitWriter:
    """The writer of the settings: one file, or train and validation."""
    if not settings.validation:
        return PairWriter(output, target, overwrite=overwrite, inputs=inputs)
    return SplitWriter(output, target, settings.validation, seed=settings.seed, overwrite=overwrite, inputs=inputs)


def _pair_in_no_order(files: Sequence[Path], policy: Policy, memory: int, writer: PairWriter | SplitWriter) -> Tally:
    """The same in two passes, for files in any order; what was written is forgotten."""
    if FastLane.takes(policy):
        writer.restart()
        tally = Tally()
        with suppress(HeadsMislead):
            pair_runs(runs_by_heads(files, tally.read, memory), Trust(), policy, tally, writer)
            return tally
    writer.restart()
    tally = Tally()
    pair_all(groups_by_index(files, tally.read, memory), policy, tally, writer)
    return tally


def pair_runs(runs: Iterable[Run], trust: Trust, policy: Policy, tally: Tally, writer: Sink) -> None:
    """The same for the groups of runs: by the fast lane what it takes, and `trust` is told."""
    lane = FastLane(policy, tally, writer) if FastLane.takes(policy) else None
    for run in runs:
        plain = lane is not None and lane.pairs(run)
        if not plain:
            pair_all(split_task(run.members()), policy, tally, writer)
        trust.tell(plain)


def pair_all(groups: Iterable[Group], policy: Policy, tally: Tally, writer: Sink) -> None:
    """Pairs each group, counts what became of it, and writes what was kept."""
    for group in groups:
        outcome = pair_group(group, policy)
        tally.add(outcome)
        if policy.target.unfit.error:
            all_fit(outcome, policy.target.name)
        for kept in outcome.kept:
            writer.write(kept.record, kept.pair.prompt_id)


def all_fit(outcome: Outcome, target: str) -> None:
    """Raises OutputError for a pair that the format cannot hold (`--unfit error`)."""
    for _, reason in outcome.refused:
        if reason.startswith("unfit_"):
            raise OutputError(
                f"prompt {outcome.group.prompt_id} does not fit --format {target}: {REASONS[reason]} ({reason});"
                " --unfit skip counts such pairs and goes on"
            )
