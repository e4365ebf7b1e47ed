"""`pairmill pair --follow`, and when a group of a run is whole: the collector's own rules, read from its run file."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from collector.early_stop import StopRule, rule_of
from collector.early_stop.rule import Standing
from collector.errors import EXIT_INTERRUPTED, UsageError
from collector.journal import RunFile
from collector.settings import CollectSettings
from collector.terminal import plain
from pairing.follow import follow
from pairing.follow.by_agent import whole_by_agent
from pairing.follow.live_pairs import live_paths
from pairing.follow.open_groups import IsWhole
from pairing.reports.funnel import PairReport
from pairing.settings import PairSettings

__all__ = ["follow_run", "whole_by"]


class _Row(msgspec.Struct, gc=False):
    rollout_index: int = msgspec.field(name="_ng_rollout_index")
    reward: float
    flags: Collection[str] = ()


_decode = msgspec.json.Decoder(_Row).decode


def follow_run(args: argparse.Namespace, settings: PairSettings) -> PairReport:
    """Follows the one input of the flags to its end. Raises what `follow` raises, and SystemExit after Ctrl-C, when it
    has said what stands where."""
    if len(args.input) != 1:
        raise UsageError("--follow: give one --input: the rollouts file that the run writes")
    if set("*?") & set(str(args.input[0])) and not args.input[0].exists():
        raise UsageError(f"--follow: {args.input[0]} is a pattern: name the one rollouts file that the run writes")
    if settings.group_size is not None:
        raise UsageError("--group-size and --follow: a run's rows carry their indices: give one")
    try:
        return follow(args.input[0], args.output, settings, rule=whole_by, say=_say, overwrite=args.overwrite)
    except KeyboardInterrupt:
        there = [path for path in live_paths(args.output, settings) if path.is_file() and path.stat().st_size]
        far = f"the pairs so far stand in {' and '.join(map(str, there))}" if there else "no pair so far"
        _say(f"interrupted: {far}; go on with\n  {shlex.join(['pairmill', *sys.argv[1:]])}")
        raise SystemExit(EXIT_INTERRUPTED) from None


def whole_by(run: RunFile) -> IsWhole | None:
    """What makes a group of this run whole before it has its most rows; None where nothing does."""
    rule = _stop_rule(run)
    return whole_by_agent(run.settings) if rule is None else _stopped_by(rule)


def _stop_rule(run: RunFile) -> StopRule | None:
    said = run.settings
    if said.get("until_gap") is None:
        return None
    place = Path("-")
    return rule_of(
        CollectSettings(
            input=place,
            output=place / place,
            base_url="http://127.0.0.1",
            verifier="exact",
            num_repeats=said["num_repeats"],
            samples_per_request=said.get("samples_per_request") or 1,
            temperatures=tuple(said.get("temperatures") or ()),
            until_gap=said["until_gap"],
            min_chosen=said.get("min_chosen"),
            futile_after=said.get("futile_after"),
        )
    )


def _stopped_by(rule: StopRule) -> IsWhole:
    """A prompt has stopped when its rounds so far are whole, and the rule says so. One with a failed sample is only
    known at the end."""

    def is_whole(lines: Sequence[bytes | memoryview]) -> bool:
        size = len(lines)
        if size < rule.first or rule.reached(size) != size:
            return False
        try:
            rows = [_decode(line) for line in lines]
        except msgspec.DecodeError:
            return False
        if sorted(row.rollout_index for row in rows) != list(range(size)):
            return False
        standing = Standing()
        for row in rows:
            standing.note(row.reward, row.flags)
        return rule.stop(size, standing) is not None

    return is_whole


def _say(text: str) -> None:
    sys.stderr.write("\n".join(plain(line) if line[:1] != " " else "  " + plain(line) for line in text.split("\n")))
    sys.stderr.write("\n")
    sys.stderr.flush()
