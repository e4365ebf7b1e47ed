"""`pairmill pair`, and `pairmill run`: collect into a folder, pair what was collected, show what came of it."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from collector.cli import collect_in_terminal, collect_watched, endpoint_of, finish_collecting, show_dry_run
from collector.errors import EXIT_INTERRUPTED, EXIT_PARTIAL, OutputError, PairmillError, UsageError
from collector.options import settings_from, watch_from
from collector.options.first_run import EMBEDDED, EMBEDDED_TEMPERATURE, bring_prompts, need_verifier, wants_embedded
from collector.terminal import plain, print_line
from pairing.build import write_pairs
from pairing.formats import get_format
from pairing.formats.table import describe, render_formats
from pairing.options.flags import pair_settings
from pairing.output.writer import holds_pairs
from pairing.reports.advice import hints
from pairing.reports.display import render_funnel, side_by_side
from pairing.reports.funnel import PairReport
from pairing.settings import PairSettings

if TYPE_CHECKING:
    from collector.live.watch import Watch
    from collector.result import CollectResult
    from collector.settings import CollectSettings

__all__ = ["check", "ended_by_signals", "pair", "run", "show_formats"]

_BUNDLED_LIMIT = 200


@dataclass(frozen=True, slots=True)
class _Places:
    """Where `run` writes."""

    rollouts: Path
    pairs: Path

    @classmethod
    def in_folder(cls, folder: Path) -> _Places:
        return cls(folder / "rollouts.jsonl", folder / "pairs.jsonl")


def run(args: argparse.Namespace) -> int:
    """Collects, pairs and reports. Exit code 3 when rollouts failed or no pair came of it."""
    places = _Places.in_folder(args.output_dir)
    pairing = pair_settings(args)
    embedded = _complete(args)
    base_url = "http://127.0.0.1" if embedded else endpoint_of(args)
    if base_url is None:
        raise UsageError("no server: give --base-url URL; --agent-name NAME goes with --protocol agent")
    settings = settings_from(args, base_url=base_url, output=places.rollouts)
    _check_groups(settings, pairing)
    if holds_pairs(places.pairs) and not (args.overwrite or args.resume):
        raise OutputError(
            f"{places.pairs}: exists already; --resume goes on and pairs again, --overwrite starts anew,"
            " another --output-dir keeps both"
        )

    if args.dry_run:
        return show_dry_run(replace(settings, endpoint_name=EMBEDDED) if embedded else settings)

    from pairing.follow.alongside import Alongside
    from pairing.following import whole_by

    def begun() -> None:
        # What an --overwrite discards takes its pairs along: pairs of other rollouts must not stand beside new ones.
        if args.overwrite and places.pairs.is_file():
            places.pairs.unlink()
        alongside.begin(anew=args.overwrite)

    collect = _collect_embedded if embedded else collect_watched
    watch = replace(watch_from(args), gap=pairing.min_gap)
    with Alongside(places.rollouts, places.pairs, pairing, whole_by) as alongside:
        result = collect_in_terminal(lambda: collect(settings, watch, begun))
        code = finish_collecting(result)
        if code == EXIT_INTERRUPTED:
            return code
        # The pairs are made of the rollouts, so a run that goes on replaces those it made before.
        overwrite = args.overwrite or args.resume
        with ended_by_signals():
            report = alongside.finish(overwrite=overwrite)
            if report is None:
                report = write_pairs([places.rollouts], places.pairs, pairing, overwrite)
        if alongside.failure is not None:
            why = plain(str(alongside.failure))
            sys.stderr.write(f"note: no pairs were made while the run went on, but at its end: {why}\n")
    _print_report(report)
    if embedded and report.pairs:
        print_line("they come from the small embedded model: give --base-url URL to use yours")
    return code or _exit_code(report)


def _check_groups(settings: CollectSettings, pairing: PairSettings) -> None:
    """Raises UsageError for groups that could give no pair."""
    most, flag = settings.num_repeats, "--num-repeats" if settings.until_gap is None else "--max-repeats"
    wanted = pairing.guards.require_members
    if most < 2:
        raise UsageError(f"{flag} {most}: a pair needs two rollouts of a prompt: give 2 or more")
    if wanted and wanted > most:
        raise UsageError(f"--require-complete {wanted}: {flag} {most} gives fewer")
    if settings.until_gap is not None:
        _check_stops(settings.until_gap, settings.min_chosen, pairing)


def _check_stops(gap: float, min_chosen: float | None, pairing: PairSettings) -> None:
    """Raises UsageError when a prompt would stop at a pair that is dropped afterwards."""
    least = pairing.guards.min_chosen_reward
    if pairing.gap_kind == "absolute" and gap < pairing.min_gap:
        raise UsageError(
            f"--until-gap {gap:g}: pairs need --min-gap {pairing.min_gap:g}: give at least that, or a lower --min-gap"
        )
    if least is not None and (min_chosen is None or min_chosen < least):
        raise UsageError(f"--min-chosen-reward {least:g} and --until-gap: give --min-chosen {least:g} too")


def pair(args: argparse.Namespace) -> int:
    """Pairs rollouts files and reports. Exit code 3 when no pair came of it."""
    settings = pair_settings(args)
    with ended_by_signals():
        if args.follow:
            from pairing.following import follow_run

            report = follow_run(args, settings)
        else:
            report = write_pairs(args.input, args.output, settings, args.overwrite)
    _print_report(report)
    _note_unfinished(args.input)
    return _exit_code(report)


def _note_unfinished(inputs: Iterable[Path]) -> None:
    """A run that was cut short leaves rollouts that pair like any others: nothing else says that there are more."""
    from collector.journal import StreamPaths, read_run_file

    for path in inputs:
        with suppress(PairmillError):
            run = read_run_file(StreamPaths.for_output(path).run)
            if run is not None and run.state != "finished":
                name = plain(str(path))
                sys.stderr.write(f"note: {name}: its run has not ended: these are the pairs so far; --resume ends it\n")


def check(args: argparse.Namespace) -> int:
    """Exit code 3 when something is wrong for the target; what is only worth knowing changes nothing."""
    from pairing.checking import check_file
    from pairing.checking.render import render_check

    report = check_file(args.file, args.target, show=args.show)
    print_line(render_check(report))
    return EXIT_PARTIAL if report.wrong else 0


def show_formats(args: argparse.Namespace) -> int:
    """The capability table, or one format."""
    print_line(describe(get_format(args.name)) if args.name else render_formats())
    return 0


def _complete(args: argparse.Namespace) -> bool:
    """Fills in what `run` brings along where it was not given; True when that includes the embedded server."""
    bring_prompts(args, _BUNDLED_LIMIT)
    embedded = wants_embedded(args)
    if embedded:
        if args.temperature is None:
            args.temperature = (EMBEDDED_TEMPERATURE,)
        heat = ", ".join(f"{value:g}" for value in args.temperature)
        print_line(f"model: the embedded one, at temperature {heat} (--base-url URL for yours)")
    need_verifier(args)
    return embedded


async def _collect_embedded(settings: CollectSettings, watch: Watch, begun: Callable[[], None]) -> CollectResult | None:
    from collector.embedded.process import EmbeddedServer

    # A port means nothing to --resume: the embedded model is the same endpoint wherever it listens.
    async with EmbeddedServer() as server:
        return await collect_watched(replace(settings, base_url=server.base_url, endpoint_name=EMBEDDED), watch, begun)


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM and a closed terminal unwind the work, so that no half-written file stays behind."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _print_report(report: PairReport) -> None:
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    print_line("\n" + render_funnel(report))
    if report.sample is not None:
        print_line("\n" + side_by_side(report.sample, width))
    for hint in hints(report):
        wrapped = textwrap.wrap(
            f"hint: {hint}", width, subsequent_indent="      ", break_long_words=False, break_on_hyphens=False
        )
        print_line("\n" + "\n".join(wrapped))
    pairs = f"{report.pairs:,} pair{'' if report.pairs == 1 else 's'}"
    names = [plain(str(path)) for path in (*report.outputs, *report.beside)]
    files = " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
    where = f" in {files}" if report.written else ": nothing was written"
    print_line(f"\n{pairs} ({report.format}){where}")


def _exit_code(report: PairReport) -> int:
    return 0 if report.pairs else EXIT_PARTIAL
