"""What a sweep was asked to do: one frozen class, validated once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from collector.errors import UsageError
from collector.journal import file_digest
from collector.parallelism.levels import MOST, log_spaced
from collector.parallelism.records import AUTO
from collector.settings import CollectSettings

__all__ = ["CACHE_MODES", "BenchSettings", "CacheMode"]

CacheMode = Literal["auto", "salt", "disjoint", "none"]
CACHE_MODES: tuple[str, ...] = get_args(CacheMode)

_LONGEST = 86_400.0
_MOST_PASSES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSettings:
    """One sweep. `collect` is what a run would be given; its `num_samples_in_parallel` and output are not looked at.

    `levels` are measured as they are; empty, they go in factors of two up to `max_level`, and closer around the knee.
    `passes` is how often each level is measured, `level_seconds` for how long each time. `cache` says how a server's
    memory of prompts is kept from making later trials faster than the first: see `supply`.
    """

    collect: CollectSettings
    folder: Path
    levels: tuple[int, ...] = ()
    max_level: int = 128
    passes: int = 3
    level_seconds: float = 20.0
    cache: CacheMode = "auto"
    auto: bool = False
    """Whether each pass also has a trial with `--num-samples-in-parallel auto`. --resume may add it."""
    auto_settle: float = 6.0
    """The least seconds that auto is given to find its limit: it reads the queue once a second, slow start takes two or
    three readings, and the cut that ends it the third one of a long queue."""
    counting: str = ""
    """How usable pairs are counted, in words: --resume compares it."""

    def __post_init__(self) -> None:
        for flag, value, most in (("--max-level", self.max_level, MOST), ("--passes", self.passes, _MOST_PASSES)):
            if not 1 <= value <= most:
                raise UsageError(f"{flag} {value}: give a number from 1 to {most}")
        if not 0 < self.level_seconds <= _LONGEST:
            raise UsageError(f"--level-seconds {self.level_seconds:g}: give seconds, more than 0 and at most 86400")
        if self.cache not in CACHE_MODES:
            raise UsageError(f"--cache-bust {self.cache}: give one of {', '.join(CACHE_MODES)}")
        if self.cache == "salt" and self.collect.protocol == "agent":
            raise UsageError("--cache-bust salt: an agent's requests have no cache_salt; give disjoint")
        if "cache_salt" in self.collect.extra_body:
            raise UsageError("--extra-body: cache_salt: bench sets this itself (--cache-bust)")

    @property
    def coarse(self) -> tuple[int, ...]:
        """The levels of the first pass, ascending."""
        return self.levels or log_spaced(self.max_level)

    @property
    def warmup_seconds(self) -> float:
        """The least time at a level before it is measured."""
        return 0.3 * self.level_seconds

    def window(self, level: int) -> tuple[float, float]:
        """The least seconds of warm-up and of the window of a trial at that level. Auto finds its limit in the first
        and swings about it in the second: both are longer where a level's are short."""
        if level != AUTO:
            return self.warmup_seconds, self.level_seconds
        return max(self.auto_settle, self.level_seconds), max(self.auto_settle / 2, self.level_seconds)

    def identity(self) -> dict[str, Any]:
        """What --resume compares, as JSON: what is asked of the server, and how it is measured. The number of passes
        may change: a sweep can be made longer."""
        return {
            **self.collect.identity(),
            "input": self.collect.input.name,
            "input_sha256": file_digest(self.collect.input),
            "levels": list(self.coarse),
            "refine": not self.levels,
            "level_seconds": self.level_seconds,
            "cache_bust": self.cache,
            "counting": self.counting,
        }
