"""How length and reward go together: which side of a pair is longer, and their correlation within prompts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from collector.records.spread import Spread

__all__ = ["Lengths"]


@dataclass(slots=True)
class Lengths:
    """Lengths are characters of the final text."""

    pairs: int = 0
    """Pairs both of whose sides can be read."""
    longer: int = 0
    equal: int = 0
    chosen: Spread = field(default_factory=Spread)
    rejected: Spread = field(default_factory=Spread)
    _both: float = 0.0
    _rewards: float = 0.0
    _lengths: float = 0.0

    def add_pair(self, chosen: int, rejected: int) -> None:
        self.pairs += 1
        self.longer += chosen > rejected
        self.equal += chosen == rejected
        self.chosen.add_one(chosen)
        self.rejected.add_one(rejected)

    def add_prompt(self, rewards: Sequence[float], lengths: Sequence[int]) -> None:
        """The answers of one prompt, both by rollout."""
        count = len(rewards)
        if count < 2:
            return
        mean_reward, mean_length = sum(rewards) / count, sum(lengths) / count
        for reward, length in zip(rewards, lengths, strict=True):
            up, along = reward - mean_reward, length - mean_length
            self._both += up * along
            self._rewards += up * up
            self._lengths += along * along

    @property
    def chosen_longer(self) -> float | None:
        """P(the chosen side is the longer one)."""
        return self.longer / self.pairs if self.pairs else None

    @property
    def preference(self) -> float | None:
        """The same among pairs whose lengths differ: 0.5 is none."""
        differing = self.pairs - self.equal
        return self.longer / differing if differing else None

    @property
    def correlation(self) -> float | None:
        """Of reward and length, each less its prompt's mean, over all answers: from -1 to 1; None where either never
        differs within a prompt."""
        product = math.sqrt(self._rewards) * math.sqrt(self._lengths)
        if not (math.isfinite(product) and product > 0 and math.isfinite(self._both)):
            return None
        return max(-1.0, min(1.0, self._both / product))
