"""What a tune shows while it goes on: one bar over all its requests or a line for each arm, and what the first arm
says of its tokens."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from collector.terminal import plain
from pairing.planning.samples import PromptSamples
from pairing.tuning.grid import Arm

__all__ = ["RungBar"]


class RungBar:
    """An Observer of each arm's collection. Messages go to stdout, the bar and notes to stderr."""

    wants_load = False

    def __init__(self, requests: int, progress: str = "auto") -> None:
        """`progress` is that of `--progress`: a bar, lines, neither, or what fits stderr."""
        self._drawn = progress == "bar" or (progress == "auto" and sys.stderr.isatty())
        self._lines = not self._drawn and progress != "off"
        self._bar = tqdm(total=requests, desc="Tuning", dynamic_ncols=True, file=sys.stderr, disable=not self._drawn)
        self._requests = requests
        self._done = 0
        self._had: dict[str, int] = {}
        self._arm = ""
        self._notes: set[str] = set()
        self._estimated = False

    def arm(self, arm: Arm) -> None:
        """The collection that comes next is this arm's."""
        self._arm = arm.name
        named = f"T={arm.temperature:g} top_p={arm.top_p:g}"
        self._bar.set_postfix_str(named, refresh=False)
        if self._lines:
            sys.stderr.write(f"Tuning: {self._done:,} of {self._requests:,} rollouts, {named} begins\n")

    def sampled(self, prompts: Sequence[PromptSamples], rollouts: int) -> None:
        """The first arm that tells its tokens says what all of them may take."""
        tokens = [prompt.output_tokens for prompt in prompts if math.isfinite(prompt.output_tokens)]
        if self._estimated or not tokens:
            return
        self._estimated = True
        every = self._requests * math.fsum(tokens) / len(tokens)
        self.say(f"by the first arm: about {every:,.0f} output tokens in all, {every / self._requests:.0f} a rollout")

    def say(self, text: str) -> None:
        if self._drawn:
            self._bar.clear()
        sys.stdout.write(plain(text, newlines=True) + "\n")
        sys.stdout.flush()
        if self._drawn:
            self._bar.refresh()

    def close(self) -> None:
        self._bar.close()

    def note(self, text: str) -> None:
        """Each once: every arm's collection has the same to say."""
        if text not in self._notes:
            self._notes.add(text)
            self._bar.write(f"note: {plain(text)}", file=sys.stderr)

    def started(self, done: int, tasks: int) -> None:
        """Rollouts that were there before count when they are first seen."""
        self._step(done - self._had.get(self._arm, 0))

    def rollout(self, *_: Any) -> None:
        self._step(1)

    def failed(self, *_: Any) -> None:
        self._step(1)

    def found(self, *_: Any) -> None: ...
    def watching(self, *_: Any) -> None: ...
    def answered(self, *_: Any) -> None: ...
    def limit_changed(self, *_: Any) -> None: ...
    def fewer(self, *_: Any) -> None: ...
    def ended(self) -> None: ...

    def _step(self, made: int) -> None:
        self._had[self._arm] = self._had.get(self._arm, 0) + made
        self._done += made
        self._bar.update(made)
