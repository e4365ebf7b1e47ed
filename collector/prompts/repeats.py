"""abc -> aabbcc: how many rollouts each row has, and the task of each, with its parameters and its seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from collector.errors import InputError
from collector.protocols.agent import agent_of
from collector.records.identity import derive_seed
from collector.records.rows import JsonObject, PromptRow, Task
from collector.records.tools import LENGTH_LIMITS, overridden
from collector.settings import CollectSettings

__all__ = ["DEFAULT", "agent_for", "repeat_rows", "repeats_for"]

DEFAULT = "_default"
"""The name under which `repeats_by_agent` has the number of all the agents that it does not name."""


def repeat_rows(
    rows: Iterable[PromptRow],
    settings: CollectSettings,
    *,
    sends_seed: bool,
    skip: Callable[[tuple[int, int]], bool] = lambda _key: False,
) -> Iterator[Task]:
    """Each row's repeats stand together, in input order; keys that `skip` accepts are left out.

    Parameters of the command line win over the row's, a ladder of temperatures over both. A row's own `seed` takes the
    place of the run's, so that its repeats still differ from each other.
    """
    for row in rows:
        params = overridden(row.params, settings.params)
        base_seed = params.pop("seed", None)
        run_seed = settings.seed if base_seed is None else int(base_seed)
        ladder = [_as_sent(step, settings.extra_body) for step in _ladder(params, settings.temperatures)]
        for rollout_index in range(repeats_for(row, settings)):
            if skip((row.task_index, rollout_index)):
                continue
            seed = derive_seed(run_seed, row.prompt_id, row.task_index, rollout_index) if sends_seed else None
            yield Task(row, rollout_index, ladder[rollout_index % len(ladder)], seed)


def agent_for(row: PromptRow, settings: CollectSettings) -> str | None:
    """The agent of a row: its own, else the settings'; None when neither names one."""
    return agent_of(row.fields) or settings.agent_name


def repeats_for(row: PromptRow, settings: CollectSettings) -> int:
    """How many rollouts the row has: its agent's number where the settings tell agents apart.

    Raises InputError for an agent that they do not name, when there is no `_default`.
    """
    if not settings.repeats_by_agent:
        return settings.num_repeats
    agent = agent_for(row, settings)
    number = settings.repeats_by_agent.get(agent or DEFAULT, settings.repeats_by_agent.get(DEFAULT))
    if number is None:
        named = f"the agent {agent!r}" if agent else "rows that name no agent"
        raise InputError(
            f"{settings.input}:{row.line}: --num-repeats has no number for {named}, and no {DEFAULT}: add one of them"
        )
    return number


def _as_sent(params: JsonObject, extra_body: Mapping[str, Any]) -> JsonObject:
    """The parameters with the values that the extra body puts in their place: a rollout tells what was sent."""
    limited = not params.keys().isdisjoint(LENGTH_LIMITS)
    sent = {k: v for k, v in extra_body.items() if k in params or (limited and k in LENGTH_LIMITS)}
    return overridden(params, sent) if sent else params


def _ladder(params: JsonObject, temperatures: tuple[float, ...]) -> list[JsonObject]:
    """The parameters of repeat 0, 1, ... counted round. Repeats with the same ones share the same dict."""
    return [{**params, "temperature": value} for value in temperatures] or [params]
