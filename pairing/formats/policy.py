"""What becomes of a pair that a target cannot hold as it is: `--unfit`."""

from __future__ import annotations

from dataclasses import dataclass

from collector.errors import UsageError

__all__ = ["POLICIES", "SKIP", "UnfitPolicy"]

POLICIES = ("skip", "error", "last-turn", "inline-reasoning")


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

    @classmethod
    def parse(cls, text: str) -> UnfitPolicy:
        """`skip`, `error`, `last-turn`, `inline-reasoning`, or several with commas between. Raises UsageError."""
        names = {name.strip() for name in text.split(",")}
        unknown = sorted(names - set(POLICIES))
        if unknown:
            raise UsageError(f"--unfit {text}: {unknown[0] or 'an empty name'} is none of {', '.join(POLICIES)}")
        if {"skip", "error"} <= names:
            raise UsageError(f"--unfit {text}: skip and error exclude each other")
        return cls("last-turn" in names, "inline-reasoning" in names, "error" in names)


SKIP = UnfitPolicy()
