"""When a prompt stops: a pure function of its own rewards, taken only when every sample asked for so far has ended.

So neither the order in which replies come, nor other prompts, nor a kill and a resume can change it.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

from collector.settings import CollectSettings
from collector.usable import RewardRange, usable

__all__ = ["STOPS", "Standing", "Stop", "StopRule", "rule_of"]

Stop = Literal["usable", "futile", "cap", "failed"]
"""usable: it has a pair. futile: its first rewards are all equal. cap: it has had its most samples. failed: not one of
its samples came to a reward."""
STOPS: tuple[Stop, ...] = get_args(Stop)


class Standing(RewardRange):
    """What a prompt's rewards come to: `best` of the answers that may be chosen, `worst` and `top` of those that may
    stand on either side, `rows` all rollouts with a reward.

    As the pairing stage has it by default: an answer that was cut at its token limit is never chosen, and one that says
    nothing is on no side. A pair of them would stop the prompt, and be dropped afterwards.
    """

    __slots__ = ("rows", "top")

    def __init__(self) -> None:
        super().__init__()
        self.rows = 0
        self.top = -math.inf

    def note(self, reward: float, flags: Collection[str]) -> None:
        """One more rollout, with the flags of its row."""
        self.rows += 1
        if "empty" in flags:
            return
        self.top = max(self.top, reward)
        if "truncated" in flags:
            self.worst = min(self.worst, reward)
        else:
            self.add(reward)

    @property
    def all_equal(self) -> bool:
        """Whether no two answers have different rewards."""
        return self.top <= self.worst


@dataclass(frozen=True, slots=True)
class StopRule:
    """Samples come in rounds: `first` of them, then `step` at a time, at most `most`. A prompt is judged between
    rounds. `futile_after`: so many rewards, all equal, are enough to give it up; None never gives up."""

    gap: float
    min_chosen: float | None
    futile_after: int | None
    first: int
    step: int
    most: int

    def reached(self, asked: int) -> int:
        """The size of a prompt's group at the end of the round that its sample number `asked` belongs to."""
        rounds = -(-max(0, asked - self.first) // self.step)
        return min(self.most, self.first + rounds * self.step)

    def stop(self, size: int, standing: Standing) -> Stop | None:
        """Why a prompt stops when all of its `size` samples have ended, each with a reward or failed for good; None
        when the next round is due."""
        if usable(standing, self.gap, self.min_chosen):
            return "usable"
        if not standing.rows:
            return "failed"
        if size >= self.most:
            return "cap"
        if self.futile_after is not None and standing.rows >= self.futile_after and standing.all_equal:
            return "futile"
        return None


def rule_of(settings: CollectSettings) -> StopRule | None:
    """The rule that the settings ask for; None when every prompt has its full number of repeats.

    A round fills whole requests where several samples are asked for with one: then a prompt's requests are those of a
    run without early stop, and so are its answers. A ladder of temperatures is gone through once before giving up.
    """
    if settings.until_gap is None:
        return None
    ladder = max(1, len(settings.temperatures))
    several = settings.samples_per_request > 1
    step = settings.samples_per_request * ladder if several else 1
    patience = settings.futile_after
    return StopRule(
        gap=settings.until_gap,
        min_chosen=settings.min_chosen,
        futile_after=None if patience is None else max(patience, ladder),
        first=min(settings.num_repeats, max(2, step)),
        step=step,
        most=settings.num_repeats,
    )
