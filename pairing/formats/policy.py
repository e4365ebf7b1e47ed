"""How a pair is brought into a target's shape: `--unfit` for what it cannot hold, `--trajectory` for several turns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from collector.errors import UsageError

__all__ = ["POLICIES", "SKIP", "TRAJECTORIES", "Trajectory", "UnfitPolicy"]

POLICIES = ("skip", "error", "last-turn", "inline-reasoning")
Trajectory = Literal["split", "whole", "last-turn"]
TRAJECTORIES: tuple[str, ...] = get_args(Trajectory)


@dataclass(frozen=True, slots=True)
class UnfitPolicy:
    """Skip and count, unless told otherwise. Both ways of adapting may be on; a pair that neither makes fit is skipped,
    or with `error` ends the run."""

    last_turn: bool = False
    """Where a target takes one message: the last of each side. What stood before it is left out, and counted. It moves
    into the prompt instead where both sides share it."""
    inline_reasoning: bool = False
    """Where a target has no place for reasoning: in front of the text, between <think> and </think>."""
    error: bool = False
    """The first pair that does not fit ends the run."""
    trajectory: Trajectory = "split"
    """`split`: turns that both sides share move into the prompt, where the target has one. A preference is about what
    differs: shared turns on both sides are trained on twice, once up and once down. `whole` leaves them on the sides;
    `last-turn` keeps the last message of each side alone, whatever the target could hold."""

    def __post_init__(self) -> None:
        if self.trajectory not in TRAJECTORIES:
            raise UsageError(f"--trajectory {self.trajectory}: give one of {', '.join(TRAJECTORIES)}")
        if self.last_turn and self.trajectory == "whole":
            raise UsageError("--unfit last-turn and --trajectory whole exclude each other")

    @classmethod
    def parse(cls, text: str, trajectory: Trajectory = "split") -> UnfitPolicy:
        """`skip`, `error`, `last-turn`, `inline-reasoning`, or several with commas between. Raises UsageError."""
        names = {name.strip() for name in text.split(",")}
        unknown = sorted(names - set(POLICIES))
        if unknown:
            raise UsageError(f"--unfit {text}: {unknown[0] or 'an empty name'} is none of {', '.join(POLICIES)}")
        if {"skip", "error"} <= names:
            raise UsageError(f"--unfit {text}: skip and error exclude each other")
        return cls("last-turn" in names, "inline-reasoning" in names, "error" in names, trajectory)


SKIP = UnfitPolicy()
