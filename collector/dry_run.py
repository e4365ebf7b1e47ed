"""`--dry-run`: all that can be checked without sending, then the first request as it would go out, and the plan.

Nothing is sent, not even to ask which models a server has, and nothing is written. Credentials show as [redacted].
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import orjson

from collector.client.client import credentials_of, request_headers
from collector.client.redaction import REDACTED, Redactor
from collector.collecting import check_apart
from collector.early_stop import Ledger, Rounds, StopRule, rule_of
from collector.errors import RolloutError
from collector.journal import (
    RunFile,
    StreamPaths,
    check_output,
    file_digest,
    read_run_file,
    rollouts_there,
    rows_there,
)
from collector.journal.keys import KeySet
from collector.observer import SilentObserver
from collector.policies import RetryPolicy, Timeouts
from collector.prompts import Inventory, check_rows, repeat_rows, rows_of
from collector.protocols import Protocol, get_protocol
from collector.protocols.agent import agent_of
from collector.records.rows import PromptRow, Task
from collector.settings import CollectSettings
from collector.urls import shown_url
from collector.verifiers import Verifier, verifier_of
from collector.work import Job, jobs_of

__all__ = ["dry_run"]


def dry_run(settings: CollectSettings) -> str:
    """What the run would do, as text for the terminal. Raises the PairmillError that the run would begin with."""
    paths = StreamPaths.for_output(settings.output)
    check_apart(settings, paths)
    verifier = verifier_of(settings)
    protocol = get_protocol(settings.protocol)
    inventory = check_rows(settings, lambda row: _problem_in(row, settings, protocol, verifier))
    check_output(paths, resume=settings.resume, overwrite=settings.overwrite)
    there = _rollouts_there(settings, paths)
    jobs, most = _jobs(settings, protocol, inventory, there)
    first = next(jobs, None)
    tasks = first.tasks if first else ()
    where = _where(settings, tasks[0] if tasks else None)
    blocks = (
        "dry run: nothing is sent, nothing is written",
        *_request(settings, protocol, tasks, where),
        "the plan:",
        "\n".join(f"  {name:<12} {text}" for name, text in _plan(settings, inventory, where, len(there), most)),
    )
    return "\n\n".join(blocks)


def _problem_in(row: PromptRow, settings: CollectSettings, protocol: Protocol, verifier: Verifier | None) -> str | None:
    """What the run would have against a row: a field that the verifier lacks, a prompt that the protocol cannot ask."""
    problem = verifier.check(row) if verifier else None
    if problem:
        return problem
    try:
        protocol.build(next(repeat_rows((row,), settings, sends_seed=False)), settings)
    except RolloutError as error:
        return str(error)
    return None


def _rollouts_there(settings: CollectSettings, paths: StreamPaths) -> KeySet:
    """What --resume would go on from. A model that was not named is taken to be the old one: the server is not asked.
    Raises ResumeError as the run would."""
    if not settings.resume:
        return KeySet(settings.num_repeats)
    before = read_run_file(paths.run)
    if settings.model is None and before is not None:
        settings = replace(settings, model=before.settings.get("model"))
    run = RunFile.begin(settings.identity(), file_digest(settings.input), settings.input)
    return rollouts_there(paths, run, settings.num_repeats)


def _jobs(
    settings: CollectSettings, protocol: Protocol, inventory: Inventory, there: KeySet
) -> tuple[Iterator[Job], int]:
    """What is to be asked, the first request first, and how many rollouts the run comes to at most."""
    sends_seed = protocol.sends_seed if settings.send_seed is None else settings.send_seed
    samples, skip, rule = (lambda: settings.samples_per_request), there.__contains__, rule_of(settings)
    if rule is None:
        return jobs_of(
            repeat_rows(rows_of(settings), settings, sends_seed=sends_seed, skip=skip), samples
        ), inventory.tasks
    paths, ledger = StreamPaths.for_output(settings.output), Ledger(inventory.rows, rule.most)
    if len(there):
        ledger.read(rows_there(paths))
    rounds = Rounds(settings, rule, ledger, skip, sends_seed, SilentObserver(), paths.decisions)
    return rounds.jobs(samples), rounds.tasks


def _request(settings: CollectSettings, protocol: Protocol, tasks: tuple[Task, ...], where: str) -> tuple[str, ...]:
    if not tasks:
        return ("no request: every rollout is there already",)
    return "the first request:", "\n".join(_head(settings, protocol, where)), _body(settings, protocol, tasks)


def _head(settings: CollectSettings, protocol: Protocol, where: str) -> Iterator[str]:
    yield f"POST {where}{protocol.path}"
    credentials = credentials_of(settings)
    for name, value in request_headers(settings).items():
        yield f"{name}: {REDACTED if value in credentials or name == 'authorization' else value}"


def _where(settings: CollectSettings, task: Task | None) -> str:
    """The endpoint's URL; where it is found out only when the run begins, what tells it."""
    if settings.endpoint_name is None:
        return shown_url(settings.base_url)
    if settings.protocol != "agent":
        return f"<{settings.endpoint_name}>"
    agent = (agent_of(task.row.fields) if task else None) or settings.agent_name
    return f"<the agent {agent}, where {settings.endpoint_name} says>"


def _body(settings: CollectSettings, protocol: Protocol, tasks: tuple[Task, ...]) -> str:
    body = protocol.build(tasks[0], settings, len(tasks))
    pretty = json.dumps(orjson.loads(Redactor(credentials_of(settings)).body(body)), indent=2, ensure_ascii=False)
    return "".join(char if char == "\n" or char.isprintable() else json.dumps(char)[1:-1] for char in pretty)


def _plan(
    settings: CollectSettings, inventory: Inventory, where: str, there: int, most: int
) -> Iterator[tuple[str, str]]:
    yield "input", f"{settings.input}: {inventory.rows} {'row' if inventory.rows == 1 else 'rows'}"
    yield "output", f"{settings.output}{_output_state(settings, there)}"
    rule = rule_of(settings)
    if rule is None:
        yield "rollouts", f"{inventory.tasks} ({_repeats(settings)})"
    else:
        yield "rollouts", f"at most {most} (from {rule.first} to {rule.most} of each row)"
        yield "early stop", _early_stop(rule)
    for note in inventory.notes:
        yield "note", note
    if settings.temperatures:
        yield "temperatures", ", ".join(f"{value:g}" for value in settings.temperatures) + ", by repeat"
    yield "in flight", _parallelism(settings)
    yield "servers", ", ".join((where, *(shown_url(url) for url in settings.base_urls[1:])))
    yield "protocol", settings.protocol
    if settings.protocol != "agent" or settings.model:
        yield "model", settings.model or "the server's only one, asked for when the run begins"
    yield "verifier", _verifiers(settings)
    yield "retries", _retries(settings.retry)
    yield "time limits", _limits(settings.timeouts, settings.retry)


def _output_state(settings: CollectSettings, there: int) -> str:
    if settings.overwrite:
        return " (what it holds is discarded)"
    return f" (goes on with the {there} rollouts that it holds)" if settings.resume else ""


def _repeats(settings: CollectSettings) -> str:
    if settings.repeats_by_agent:
        numbers = ", ".join(f"{name} {number}" for name, number in settings.repeats_by_agent.items())
        return f"repeats of each row by agent: {numbers}"
    return f"{settings.num_repeats} of each row"


def _early_stop(rule: StopRule) -> str:
    """When a prompt has enough."""
    text = f"at two rollouts whose rewards are at least {rule.gap:g} apart"
    if rule.min_chosen is not None:
        text += f", the better one's at least {rule.min_chosen:g}"
    if rule.futile_after is not None:
        text += f"; or at {rule.futile_after} rewards that are all equal"
    return text


def _parallelism(settings: CollectSettings) -> str:
    text = f"{settings.parallelism} requests"
    if settings.parallel_per_endpoint:
        text += f", {settings.parallel_per_endpoint} at any one server"
    if settings.samples_per_request > 1:
        text += f", up to {settings.samples_per_request} rollouts each"
    return text


def _verifiers(settings: CollectSettings) -> str:
    specs = ", ".join(settings.verifier_specs)
    own = "the agent's own reward" if settings.protocol == "agent" else "none: no rewards, and pairs need them"
    vetoes = f"; vetoes: {', '.join(settings.vetoes)}" if settings.vetoes else ""
    return (specs or own) + vetoes


def _retries(retry: RetryPolicy) -> str:
    """How failed attempts are dealt with."""
    if retry.max_attempts == 1:
        return "none: one attempt at each rollout"
    return (
        f"up to {retry.max_attempts} attempts at a rollout; before the second a random wait of up to"
        f" {retry.backoff_base:g} s, doubled for each one after, at most {retry.backoff_cap:g} s; a server's"
        f" Retry-After is obeyed up to {retry.retry_after_cap:g} s"
    )


def _limits(timeouts: Timeouts, retry: RetryPolicy) -> str:
    return (
        f"{timeouts.connect:g} s for a connection, {timeouts.total:g} s for a reply, {timeouts.rollout:g} s for all"
        f" attempts at a rollout; {retry.dead_after:g} s without any connection, or with a key that is refused, end the"
        " run"
    )
