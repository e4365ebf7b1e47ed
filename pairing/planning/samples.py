"""What a plan keeps of each prompt: the rewards of its rollouts, which side each may stand on, tokens. Texts are gone.

Past `MOST_PROMPTS` prompts a random sample of them stands for all, so that memory does not grow with the input.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pairing.guards import SideGuard
from pairing.outcomes import Policy, pair_group
from pairing.planning.resample import Resampler
from pairing.reading.groups import Group
from pairing.reading.rollouts import Rollout
from pairing.stats.usage import Usage
from pairing.strategies.base import reward_of

__all__ = ["MOST_PROMPTS", "Member", "Pilot", "PromptSamples", "read_pilot", "samples_of"]

MOST_PROMPTS = 20_000


class Member(NamedTuple):
    """One usable rollout: its reward, and whether the guards let it be chosen, and be rejected."""

    reward: float
    choose: bool
    reject: bool


@dataclass(frozen=True, slots=True)
class PromptSamples:
    """One prompt: `count` rollouts, of which `members` are usable. Tokens are means over its rollouts that tell theirs,
    NaN when none does. `by_resampling` has the odds of each repeats and gap where the pairing stage itself was asked,
    see `resample`."""

    key: tuple[int, str]
    """Task index (-1 where rows carry none) and prompt id."""
    count: int
    members: tuple[Member, ...]
    output_tokens: float
    input_tokens: float
    truncated: int
    by_resampling: tuple[float, ...] | None = None


@dataclass(slots=True)
class Pilot:
    """The prompts of an input, or a sample of them; `seen` and `rollouts` count all."""

    prompts: list[PromptSamples] = field(default_factory=list)
    seen: int = 0
    rollouts: int = 0
    otherwise: int = 0
    """Prompts whose pair the rewards alone foretell wrongly: a guard that reads texts had its say."""


def read_pilot(
    groups: Iterable[Group], policy: Policy, resampler: Resampler | None, *, seed: int = 0, most: int = MOST_PROMPTS
) -> Pilot:
    """One pass. `resampler` is None where rewards decide alone."""
    pilot, rng = Pilot(), random.Random(seed)
    for group in groups:
        pilot.seen += 1
        pilot.rollouts += len(group.rollouts)
        place = pilot.seen - 1 if pilot.seen <= most else rng.randrange(pilot.seen)
        if place >= most:
            continue
        found = samples_of(group, policy, resampler)
        if resampler is None:
            pilot.otherwise += _foretold(found, policy) != bool(pair_group(group, policy).kept)
        if place < len(pilot.prompts):
            pilot.prompts[place] = found
        else:
            pilot.prompts.append(found)
    pilot.prompts.sort(key=lambda prompt: prompt.key)
    return pilot


def samples_of(group: Group, policy: Policy, resampler: Resampler | None) -> PromptSamples:
    """What is kept of one group. The policy's guards say what is usable, and on which side."""
    usable = pair_group(group, policy).usable
    may = _allowed(usable, policy.checks.chosen), _allowed(usable, policy.checks.rejected)
    usage = Usage()
    for rollout in group.rollouts:
        usage.add(rollout)
    known = usage.known
    return PromptSamples(
        key=(-1 if group.task_index is None else group.task_index, group.prompt_id),
        count=len(group.rollouts),
        members=tuple(Member(reward_of(each), id(each) in may[0], id(each) in may[1]) for each in usable),
        output_tokens=(usage.output_tokens or 0) / known if known else math.nan,
        input_tokens=(usage.input_tokens or 0) / known if known else math.nan,
        truncated=sum(rollout.truncated for rollout in group.rollouts),
        by_resampling=resampler.odds(group) if resampler else None,
    )


def _allowed(usable: Sequence[Rollout], guards: Sequence[SideGuard]) -> set[int]:
    """The identities of those that all guards of a side allow."""
    for guard in guards:
        usable = guard.allowed(usable)
    return {id(rollout) for rollout in usable}


def _foretold(prompt: PromptSamples, policy: Policy) -> bool:
    """Whether best against worst is a pair at the policy's own gap."""
    chosen = [member.reward for member in prompt.members if member.choose]
    rejected = [member.reward for member in prompt.members if member.reject]
    if not (chosen and rejected):
        return False
    gap = max(chosen) - min(rejected)
    return 0 < gap < math.inf and gap >= getattr(policy.strategy, "min_gap", 0.0)
