"""Prompts for the tests of plans: rewards alone, drawn or given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pairing.planning.samples import Member, PromptSamples


def prompt(rewards: Sequence[float | Member | None], task: int = 0, tokens: float = 10.0) -> PromptSamples:
    """A prompt with these rollouts; None is one that cannot be used."""
    members = [each if isinstance(each, Member) else Member(each, True, True) for each in rewards if each is not None]
    return PromptSamples((task, f"p{task}"), len(rewards), tuple(members), tokens, tokens, 0)


def solved(shares: Sequence[float], count: int, seed: int = 0) -> list[PromptSamples]:
    """Prompts solved with these chances, `count` rollouts each, rewards of 0 and 1."""
    rng = np.random.default_rng(seed)
    return [prompt([float(rng.random() < share) for _ in range(count)], task) for task, share in enumerate(shares)]
