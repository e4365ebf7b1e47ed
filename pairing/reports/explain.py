"""`pairmill explain`: why a prompt gave this pair, or none. The prompt is found by its id (or the beginning of one) or
its task index; what is told is the outcome that pairing would have, for the same flags."""

from __future__ import annotations

import argparse
import difflib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from collector.errors import InputError, UsageError
from collector.terminal import plain, print_line
from pairing.messages import answer_text
from pairing.options.flags import pair_settings
from pairing.outcomes import Outcome, Policy, pair_group
from pairing.pairs import Pair
from pairing.reading.groups import Group, iter_groups
from pairing.reading.rollouts import BrokenLine, Rollout
from pairing.reports.display import side_by_side
from pairing.reports.funnel import REASONS, SamplePair
from pairing.strategies.base import Choice, Pool, ranked

__all__ = ["explain", "explanation", "find_groups"]

_NEAR = 3
_BARRED = {
    "no_chosen": "truncated",
    "no_rejected": "truncated answers alone, or none (--truncated-rejected)",
    "chosen_below_min": "reward under --min-chosen-reward",
    "rejected_above_max": "reward over --max-rejected-reward",
}
"""Why one rollout may not stand on a side; the reasons speak of a prompt that has none for it."""


def explain(args: argparse.Namespace) -> int:
    """The command. Raises UsageError without a prompt, InputError when the input has none like it."""
    if (args.prompt_id is None) == (args.task is None):
        raise UsageError("explain: give a prompt id (`meta.prompt_id` of a pair), or --task N")
    policy = pair_settings(args).policy()
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    for number, group in enumerate(find_groups(iter_groups(args.input), args.prompt_id, args.task, args.input)):
        print_line(("\n" if number else "") + "\n".join(explanation(group, policy, width)))
    return 0


def find_groups(
    groups: Iterable[Group], prompt_id: str | None, task: int | None, inputs: Sequence[Path]
) -> list[Group]:
    """The groups of a prompt: several where one task index, or one prompt, has more than one. Raises InputError, with
    the nearest, when there is none, and when the beginning of an id is that of several prompts."""
    found: list[Group] = []
    near = _Nearest(prompt_id, task)
    for group in groups:
        if (group.task_index == task) if task is not None else group.prompt_id.startswith(prompt_id or ""):
            found.append(group)
        elif not found:
            near.see(group)
        if len({one.prompt_id for one in found}) > 1 and task is None:
            ids = " or ".join(sorted({one.prompt_id for one in found}))
            raise InputError(f"{prompt_id} is the beginning of several prompt ids: give {ids}")
    if not found:
        raise InputError(f"{', '.join(map(str, inputs))}: {near.told()}")
    return found


class _Nearest:
    """What stands nearest to a prompt that is not there. Holds no more than the best few."""

    def __init__(self, prompt_id: str | None, task: int | None) -> None:
        self._id, self._task = prompt_id, task
        self._near: list[str] = []

    def see(self, group: Group) -> None:
        if self._task is None:
            self._near.append(group.prompt_id)
            if len(self._near) > 1000:
                self._near = self._best()
        elif group.task_index is not None:
            tasks = {*map(int, self._near), group.task_index}
            self._near = [
                str(one) for one in sorted(tasks, key=lambda one: (abs(one - (self._task or 0)), one))[:_NEAR]
            ]

    def told(self) -> str:
        what = f"no prompt {plain(self._id)}" if self._id is not None else f"no task {self._task}"
        best = self._best() if self._id is not None else self._near
        return f"{what}; the nearest are {', '.join(best)}" if best else f"{what}: no rollout at all"

    def _best(self) -> list[str]:
        return difflib.get_close_matches(self._id or "", dict.fromkeys(self._near), n=_NEAR, cutoff=0.0)


def explanation(group: Group, policy: Policy, width: int) -> Iterator[str]:
    """Lines for the terminal, clean of what a model may have written into a row."""
    outcome = pair_group(group, policy)
    pool = None if len(outcome.usable) < 2 else policy.checks.pool(outcome.usable, group.prompt_id)
    task = "" if group.task_index is None else f", task {group.task_index}"
    gone = f", {group.duplicates} gave way to a later attempt" if group.duplicates else ""
    yield f"prompt {plain(group.prompt_id)}{task}: {len(group.rollouts)} rollouts{gone}"
    yield ""
    yield from _table(outcome, policy)
    if isinstance(pool, Pool):
        yield ""
        yield f"pool: {len(pool.chosen)} may be chosen, {len(pool.rejected)} rejected; {_spread(pool)}"
    yield ""
    yield from _verdict(outcome, policy)
    shown = _shown_pair(outcome, policy)
    if shown is not None:
        yield ""
        yield side_by_side(shown, width)


def _table(outcome: Outcome, policy: Policy) -> Iterator[str]:
    faults = {id(rollout): reason for rollout, reason in outcome.faults}
    yield f"{'index':>5}  {'reward':>8}  {'finish':<10}  {'length':>7}  what became of it"
    for rollout in outcome.group.rollouts:
        reward = "-" if rollout.reward is None else f"{rollout.reward:.4g}"
        finish = plain(rollout.row.finish_reason or "-")[:10]
        fate = _fate(rollout, faults.get(id(rollout)), outcome, policy)
        yield f"{rollout.rollout_index:>5}  {reward:>8}  {finish:<10}  {_length(rollout):>7}  {fate}"


def _fate(rollout: Rollout, fault: str | None, outcome: Outcome, policy: Policy) -> str:
    if fault is not None:
        return f"dropped: {_told(fault)}"
    pairs = [(kept.pair.chosen, kept.pair.rejected) for kept in outcome.kept]
    roles = [
        *(["chosen"] if any(rollout is chosen for chosen, _ in pairs) else []),
        *(["rejected"] if any(rollout is rejected for _, rejected in pairs) else []),
    ]
    barred = zip(("never chosen", "never rejected"), policy.checks.barred(rollout), strict=True)
    return "; ".join(
        [", ".join(roles) or "usable", *(f"{side}: {_BARRED.get(why, why)}" for side, why in barred if why)]
    )


def _verdict(outcome: Outcome, policy: Policy) -> Iterator[str]:
    picked = len(outcome.kept) + len(outcome.refused)
    if not picked:
        yield f"no pair: {_told(outcome.reason or '')}"
        return
    yield f"{policy.strategy.name} picked {picked}:"
    for kept in outcome.kept:
        rule = "" if kept.pair.strategy == policy.strategy.name else f" (by {kept.pair.strategy})"
        yield f"  {_sides(kept.pair)}: a pair{rule}"
    for choice, reason in outcome.refused:
        yield f"  {_sides(choice)}: refused: {_told(reason)}"
    if outcome.reason is not None:
        yield f"no pair: {_told(outcome.reason)}"


def _sides(pair: Pair | Choice) -> str:
    return f"{pair.chosen.rollout_index} over {pair.rejected.rollout_index}, gap {pair.gap:.4g}"


def _shown_pair(outcome: Outcome, policy: Policy) -> SamplePair | None:
    """The first pair that was kept, else the first that was refused, else best against worst of what is there."""
    group, name = outcome.group, policy.strategy.name
    scored = ranked(rollout for rollout in group.rollouts if rollout.reward is not None)
    if outcome.kept:
        pair = outcome.kept[0].pair
    elif outcome.refused or len(scored) > 1:
        choice = outcome.refused[0][0] if outcome.refused else Choice(scored[0], scored[-1])
        pair = Pair(group.task_index, group.prompt_id, choice.chosen, choice.rejected, choice.gap, name)
    else:
        return None
    try:
        return SamplePair.of(pair)
    except (BrokenLine, RecursionError):
        return None


def _spread(pool: Pool) -> str:
    return f"reward mean {pool.mean:.4g}, std {pool.std:.4g}"


def _told(reason: str) -> str:
    return f"{reason} ({REASONS.get(reason, 'no reason is known')})"


def _length(rollout: Rollout) -> str:
    try:
        return str(len(answer_text(rollout)))
    except (BrokenLine, RecursionError):
        return "?"
