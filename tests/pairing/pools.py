"""Groups and pools for the tests, made of real rows by the real readers, without a file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pairing.guards import Guards
from pairing.reading.files import make_rollout
from pairing.reading.groups import Group, assemble
from pairing.reading.identity import PromptIds
from pairing.reading.rollouts import Rollout, decode_row
from pairing.strategies import Choice, Pool, Strategy
from tests.pairing.make import Row, our_row


def rollout_of(row: Row) -> Rollout:
    line = json.dumps(row).encode()
    rollout = make_rollout(decode_row(line), Path("r.jsonl"), 0, line, PromptIds())
    assert isinstance(rollout, Rollout)
    return rollout


def group_of(rows: Iterable[Row]) -> Group:
    """The group of rows of one prompt, in whichever order they come."""
    members = [rollout_of(row) for row in rows]
    return assemble(members[0].row.task_index, members[0].prompt_id, members)


def rows_of(rewards: Sequence[float], texts: Sequence[str] = (), cut: Iterable[int] = ()) -> list[Row]:
    """Rows of one prompt, the rollout index their place; `cut` are the truncated ones."""
    ended: dict[str, Any] = {"finish_reason": "length"}
    cut = set(cut)
    return [
        our_row(0, n, reward, texts[n] if texts else None, **(ended if n in cut else {}))
        for n, reward in enumerate(rewards)
    ]


def pool_of(rewards: Sequence[float], texts: Sequence[str] = (), cut: Iterable[int] = ()) -> Pool:
    """The pool that the default guards make of these."""
    group = group_of(rows_of(rewards, texts, cut))
    pool = Guards().checks().pool(group.rollouts, group.prompt_id)
    assert isinstance(pool, Pool)
    return pool


def picks(strategy: Strategy, pool: Pool) -> list[tuple[int | None, int | None]] | str:
    """What it picks, as rollout indices."""
    found = strategy.pick(pool)
    return found if isinstance(found, str) else sides(found)


def picked(strategy: Strategy, pool: Pool) -> list[Choice]:
    """What it picks; it must pick something."""
    found = strategy.pick(pool)
    assert not isinstance(found, str), found
    return list(found)


def sides(choices: Iterable[Choice]) -> list[tuple[int | None, int | None]]:
    return [(choice.chosen.rollout_index, choice.rejected.rollout_index) for choice in choices]
