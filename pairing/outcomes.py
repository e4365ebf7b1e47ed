"""What becomes of one group: the per-group step of every way to pair (a file, several processes, a live run, one
prompt explained, strategies compared). No I/O and no state: the same group and policy give the same outcome.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import msgspec

from pairing.formats.base import Format, Unfit
from pairing.guards import Checks, SampleGuard
from pairing.pairs import Pair
from pairing.reading.groups import Group
from pairing.reading.rollouts import BrokenLine, Rollout
from pairing.strategies.base import Choice, Pool, Strategy, reward_of

__all__ = ["Kept", "Outcome", "Policy", "Sink", "pair_group"]


@dataclass(frozen=True, slots=True)
class Policy:
    """How groups become pairs: the strategy, the guards around it, and what the pairs are written as."""

    strategy: Strategy
    checks: Checks
    target: Format


class Sink(Protocol):
    """Where records go."""

    def write(self, record: Any, prompt_id: str) -> None: ...


class Kept(NamedTuple):
    """A pair that passed, and its record in the policy's format."""

    pair: Pair
    record: Any


class Outcome(msgspec.Struct, gc=False, eq=False):
    """Everything that was decided about one group.

    `faults` are the unusable rollouts with their reasons, guard by guard. `reason` is None when a pair was kept, else
    why there is none. `refused` are picked pairs that a guard or the format turned away. `picked` = kept + refused.
    """

    group: Group
    usable: list[Rollout]
    faults: list[tuple[Rollout, str]]
    reason: str | None = None
    kept: list[Kept] = []
    refused: list[tuple[Choice, str]] = []
    widest: float | None = None
    """Best that may be chosen minus worst, where the reason is `gap_below_min`."""


def pair_group(group: Group, policy: Policy) -> Outcome:
    """The outcome of `group`. Raises nothing that the rows could cause."""
    outcome = _sorted_out(group, policy.checks)
    pool = _pool(outcome, policy.checks)
    if isinstance(pool, str):
        outcome.reason = pool
        return outcome
    try:
        picked = policy.strategy.pick(pool)
    except (BrokenLine, RecursionError):  # a strategy may read texts
        picked = "unreadable"
    if isinstance(picked, str):
        outcome.reason = picked
    else:
        _keep(outcome, picked, pool, policy)
    if outcome.reason == "gap_below_min":
        outcome.widest = max(map(reward_of, pool.chosen)) - min(map(reward_of, pool.rejected))
    return outcome


def _sorted_out(group: Group, checks: Checks) -> Outcome:
    """The group's rollouts, the usable apart from the others."""
    usable = list(group.rollouts)
    faults: list[tuple[Rollout, str]] = []
    for guard in checks.samples:
        if not guard.clears(usable):
            usable = _without_faults(usable, guard, faults)
    return Outcome(group, usable, faults)


def _without_faults(rollouts: list[Rollout], guard: SampleGuard, faults: list[tuple[Rollout, str]]) -> list[Rollout]:
    passed = []
    for rollout in rollouts:
        try:
            fault = guard.fault(rollout)
        except (BrokenLine, RecursionError):
            fault = "unreadable"
        if fault is None:
            passed.append(rollout)
        else:
            faults.append((rollout, fault))
    return passed


def _pool(outcome: Outcome, checks: Checks) -> Pool | str:
    """What the strategy picks from, or the reason that there is nothing."""
    for guard in checks.pools:
        fault = guard.fault(outcome.group.rollouts, outcome.usable)
        if fault is not None:
            return fault
    return checks.pool(outcome.usable, outcome.group.prompt_id)


def _keep(outcome: Outcome, picked: Sequence[Choice], pool: Pool, policy: Policy) -> None:
    """Sorts the picked pairs into kept and refused; without a kept one the first refusal is the group's reason."""
    passed: list[Choice] = []
    for choice in picked:
        made = _made(outcome.group, choice, pool, passed, policy)
        if isinstance(made, str):
            outcome.refused.append((choice, made))
        else:
            passed.append(choice)
            outcome.kept.append(made)
    if not passed:
        outcome.reason = outcome.refused[0][1]


def _made(group: Group, choice: Choice, pool: Pool, passed: Sequence[Choice], policy: Policy) -> Kept | str:
    """The pair with its record, or why it is refused."""
    try:
        for guard in policy.checks.pairs:
            fault = guard.fault(choice, pool, passed)
            if fault is not None:
                return fault
        name = choice.rule or policy.strategy.name
        pair = Pair(group.task_index, group.prompt_id, choice.chosen, choice.rejected, choice.gap, name)
        return Kept(pair, policy.target.record(pair))
    except Unfit as unfit:
        return unfit.reason
    except (BrokenLine, RecursionError):
        return "unreadable"
