"""The fast lane's pairing: what the defaults make of a run of plain rows, told from rewards and bytes alone.

It gives what `outcomes.pair_group` gives, for the outcomes that nearly all groups have: one pair, or rewards that are
equal or too close. Anything else it leaves, before it counted a thing, to the general way. Tests hold the two together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from pairing.guards import Guards
from pairing.messages import PLAIN_ANSWER, PLAIN_QUESTION, PLAINLY_SPEAKS, text_between
from pairing.outcomes import Policy, Sink
from pairing.pairs import metadata
from pairing.reading.plain_rows import PlainRow, Run
from pairing.reading.rollouts import CUT, SHORT
from pairing.reports.funnel import PlainOutcome, Tally, deviation
from pairing.strategies import BestWorst

__all__ = ["FastLane"]


class FastLane:
    """Pairs runs for one policy, which must be one that it `takes`; what it pairs, it counts and writes."""

    def __init__(self, policy: Policy, tally: Tally, writer: Sink) -> None:
        if not isinstance(policy.strategy, BestWorst):
            raise TypeError(policy.strategy)
        self._least_gap, self._target = policy.strategy.min_gap, policy.target
        self._tally, self._writer = tally, writer

    @staticmethod
    def takes(policy: Policy) -> bool:
        """True for best_worst under the default guards, in a format that is put together from bytes of rows."""
        return type(policy.strategy) is BestWorst and policy.checks == Guards().checks() and policy.target.splices

    def pairs(self, run: Run) -> bool:
        """Pairs the run, which is then done with; False when it is not this lane's, and nothing was done."""
        rows = run.rows
        if not _usable(rows):
            return False
        outcome = _outcome(rows, self._least_gap)
        if outcome is None or self._tally.shows(outcome):
            return False
        if outcome.reason is None:
            record = self._record(rows[outcome.best], rows[outcome.worst], outcome.gap)
            if record is None:
                return False
            self._writer.write(record, rows[0].prompt_id)
        self._tally.add_plain(rows, outcome)
        return True

    def _record(self, chosen: PlainRow, rejected: PlainRow, gap: float) -> bytes | None:
        """The pair's line; None when a side or the prompt is more than plain text, or both sides say the same."""
        prompt, first, second = bytes(chosen.params.input), bytes(chosen.output), bytes(rejected.output)
        if chosen.params.input != rejected.params.input or text_between(prompt, PLAIN_QUESTION) is None:
            return None
        one, other = text_between(first, PLAIN_ANSWER), text_between(second, PLAIN_ANSWER)
        if one is None or other is None or one.strip() == other.strip():
            return None
        meta = metadata(
            chosen.prompt_id,
            chosen.task_index,
            (chosen.reward + 0.0, rejected.reward + 0.0, gap),  # -0.0 is 0.0
            (chosen.rollout_index, rejected.rollout_index),
            (len(one), len(other)),
            BestWorst.name,
        )
        return self._target.splice(prompt, first, second, meta)


def _usable(rows: Sequence[PlainRow]) -> bool:
    """True for two rows or more of one prompt, by ascending rollout index, none without prompt or with empty answer."""
    if len(rows) < 2:
        return False
    prompt_id, last = rows[0].prompt_id, -1
    for row in rows:
        if (
            row.rollout_index <= last
            or row.prompt_id != prompt_id
            or len(row.params.input) < SHORT
            or PLAINLY_SPEAKS(row.output) is None
        ):
            return False
        last = row.rollout_index
    return True


def _outcome(rows: Sequence[PlainRow], least_gap: float) -> PlainOutcome | None:
    """What best_worst makes of usable rows; None where that is for the general way to say."""
    cut = tuple([number for number, row in enumerate(rows) if row.finish_reason in CUT])
    return _told(tuple([row.reward + 0.0 for row in rows]), cut, least_gap)


@lru_cache(4096)
def _told(rewards: tuple[float, ...], cut: tuple[int, ...], least_gap: float) -> PlainOutcome | None:
    """The same of rewards, and the numbers of answers that were cut short: most runs know few rewards."""
    least = min(rewards)
    found = PlainOutcome(list(rewards), deviation(rewards), len(cut))
    if rewards.count(least) == len(rewards):
        found.reason = "all_equal"
        return found
    whole = [number for number in range(len(rewards)) if number not in cut]
    if not whole:
        return None
    found.best = max(whole, key=rewards.__getitem__)  # the first of equals
    found.worst = len(rewards) - 1 - rewards[::-1].index(least)
    found.gap = rewards[found.best] - least
    if not 0 < found.gap < math.inf:
        return None
    if found.gap < least_gap:
        found.reason = "gap_below_min"
    return found
