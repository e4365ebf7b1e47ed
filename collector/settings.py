"""What a collection run was asked to do: one frozen class, validated once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import orjson

from collector.errors import UsageError
from collector.policies import RetryPolicy, Timeouts
from collector.templates import Template
from collector.urls import bare_url, shown_url, url_problem

__all__ = ["PROTOCOLS", "CollectSettings", "ProtocolName", "RetryPolicy", "Timeouts", "shown_url"]

ProtocolName = Literal["chat", "responses", "completions", "agent"]
PROTOCOLS: tuple[str, ...] = get_args(ProtocolName)

_LEAST_OF_A_PAIR = 2
_MOST_REPEATS = 10_000
"""The journal knows a rollout by a slot of 16 bytes, and holds 256 prompts' slots at a time."""
_MOST_IN_PARALLEL = 60_000
"""One host has 65,536 ports to connect from."""
_MOST_ROWS = 2**40
_SEVERAL = ("chat", "completions")
"""Protocols whose requests can ask for several samples."""
_NOT_EXTRA = frozenset({"input", "messages", "n", "prompt", "seed", "stream"})
"""Fields of a request that the collector decides itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectSettings:
    """One run. Everything that changes what is asked of the server is part of `identity()`, which --resume compares."""

    input: Path
    output: Path
    base_url: str
    protocol: ProtocolName = "chat"
    model: str | None = None
    agent_name: str | None = None
    agent_urls: Mapping[str, str] = field(default_factory=dict)
    """Where each agent that a row may name listens; empty when every request goes to `base_url`."""
    replica_urls: tuple[str, ...] = ()
    """Further servers of the same model, beside `base_url`."""
    num_repeats: int = 4
    """Rollouts of each prompt; the most of any where `repeats_by_agent` differs, or `until_gap` stops earlier."""
    repeats_by_agent: Mapping[str, int] = field(default_factory=dict)
    """Agent name -> rollouts of each of its prompts; `_default` for the others. Empty: `num_repeats` for all."""
    until_gap: float | None = None
    """Early stop: no further rollouts of a prompt that has two whose rewards are so far apart. None: all have their
    `num_repeats`."""
    min_chosen: float | None = None
    """With `until_gap`: the better of the two has at least this reward."""
    futile_after: int | None = None
    """With `until_gap`: no further rollouts of a prompt whose first so many rewards are all equal. None: never."""
    num_samples_in_parallel: int = 32
    """Requests in flight over all endpoints; the most of them where `parallel_min` is given."""
    parallel_min: int | None = None
    """The limit finds itself while the run goes on (`adaptive`), not below this; None: it is fixed."""
    parallel_per_endpoint: int | None = None
    """The most requests in flight at any one of several endpoints; None: a fair share and a quarter more."""
    samples_per_request: int = 1
    """Rollouts asked for with one request (`n`), where the protocol can."""
    limit: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    """Request parameters from the command line, in Responses vocabulary; they win over the row's."""
    temperatures: tuple[float, ...] = ()
    """A ladder: repeat i has temperature i, counted round. Wins over a temperature in `params`."""
    system_prompt: str | None = None
    """Put in front of each prompt; `{field}` stands for a field of the row."""
    prompt_template: str | None = None
    """Makes the user message of each prompt; `{field}` stands for a field of the row, which needs no prompt then."""
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    """Fields put into every request's body as they are, in the server's own vocabulary; they win over all others."""
    seed: int = 0
    send_seed: bool | None = None
    """None: as the protocol does by default (chat, completions and responses send it, agent does not)."""
    verifier: str | tuple[str, ...] | None = None
    """A verifier specification (`numeric`, `regex:pattern=...`, `python:module:function`), or several that are mixed
    (`0.7*numeric`, `0.3*contains:...`); None keeps no reward."""
    vetoes: tuple[str, ...] = ()
    """Verifier specifications that each must give more than 0, or the reward is 0."""
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeouts: Timeouts = field(default_factory=Timeouts)
    max_reply_bytes: int = 64 * 2**20
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    api_key: str | None = field(default=None, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Further texts that no output may hold: values of headers that came from the environment."""
    resume: bool = False
    overwrite: bool = False
    endpoint_name: str | None = None
    """What --resume calls the endpoint when its URL means nothing later: the embedded server's port, an agent's."""

    def __post_init__(self) -> None:
        self._check_choices()
        self._check_counts()
        self._check_repeats()
        self._check_early_stop()
        self._check_body()
        for flag, text in (("--prompt-template", self.prompt_template), ("--system-prompt", self.system_prompt)):
            if text is not None:
                Template.parse(text, flag)
        if self.resume and self.overwrite:
            raise UsageError("--resume and --overwrite contradict each other: give one")
        if self.output.resolve() == self.input.resolve():
            raise UsageError(f"--output {self.output} is the input file: give another path")

    def _check_choices(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise UsageError(f"--protocol {self.protocol}: give one of {', '.join(PROTOCOLS)}")
        for url in self.base_urls:
            problem = url_problem(url)
            if problem:
                flag = "--agent-url" if self.protocol == "agent" else "--base-url"
                raise UsageError(f"{flag} {bare_url(url)}: {problem}; give a URL such as http://127.0.0.1:8000/v1")

    def _check_counts(self) -> None:
        for flag, value, most in (
            ("--num-repeats" if self.until_gap is None else "--max-repeats", self.num_repeats, _MOST_REPEATS),
            ("--num-samples-in-parallel", self.num_samples_in_parallel, _MOST_IN_PARALLEL),
            ("--limit", 1 if self.limit is None else self.limit, _MOST_ROWS),
            ("--parallel-per-endpoint", self.parallel_per_endpoint or 1, _MOST_IN_PARALLEL),
            ("--samples-per-request", self.samples_per_request, _MOST_REPEATS),
        ):
            if not 1 <= value <= most:
                raise UsageError(f"{flag} {value}: give a number from 1 to {most}")
        if self.parallel_min is not None and not 1 <= self.parallel_min <= self.num_samples_in_parallel:
            raise UsageError(
                f"--num-samples-in-parallel {self.parallelism}: give a range such as 8-256, the smaller first"
            )
        if not -(2**63) <= self.seed < 2**63:
            raise UsageError(f"--seed {self.seed}: give a number of 64 bits")
        if self.samples_per_request > 1 and self.protocol not in _SEVERAL:
            raise UsageError(
                f"--samples-per-request {self.samples_per_request}: --protocol {self.protocol} has no such request;"
                f" give one of {', '.join(_SEVERAL)}"
            )

    def _check_repeats(self) -> None:
        for name, number in self.repeats_by_agent.items():
            if not 1 <= number <= self.num_repeats:
                raise UsageError(f"--num-repeats: {name}: {number}: give a number from 1 to {self.num_repeats}")

    def _check_early_stop(self) -> None:
        if self.until_gap is None:
            for flag, value in (("--min-chosen", self.min_chosen), ("--futile-after", self.futile_after)):
                if value is not None:
                    raise UsageError(f"{flag} {value}: goes with --until-gap: give that too")
            return
        if not 0 <= self.until_gap < math.inf:
            raise UsageError(f"--until-gap {self.until_gap}: give a number, 0 or more")
        if self.min_chosen is not None and not math.isfinite(self.min_chosen):
            raise UsageError(f"--min-chosen {self.min_chosen}: give a finite number")
        if self.num_repeats < _LEAST_OF_A_PAIR:
            raise UsageError(f"--max-repeats {self.num_repeats}: a pair needs two rollouts: give 2 or more")
        if self.futile_after is not None and not _LEAST_OF_A_PAIR <= self.futile_after < self.num_repeats:
            raise UsageError(
                f"--futile-after {self.futile_after}: give a number from 2, under --max-repeats {self.num_repeats}"
            )
        if self.repeats_by_agent:
            raise UsageError("--until-gap and --num-repeats by agent: give one")
        if self.verifier is None and self.protocol != "agent":
            raise UsageError("--until-gap: needs rewards: give --verifier numeric, exact, regex:pattern=..., ...")

    def _check_body(self) -> None:
        for flag, fields in (("--param", self.params), ("--extra-body", self.extra_body)):
            try:
                orjson.dumps(dict(fields))
            except TypeError as error:
                raise UsageError(f"{flag}: the parameters cannot be written as JSON: {error}") from None
        ours = sorted(_NOT_EXTRA & self.extra_body.keys())
        if ours:
            raise UsageError(f"--extra-body: {ours[0]}: the collector sets this itself")
        if self.temperatures and "temperature" in self.extra_body:
            raise UsageError("--temperature with several values and --extra-body temperature: give one")

    @property
    def endpoint(self) -> str:
        """The endpoint's name in rows and messages: its URL, without a user or password that stood in it."""
        return self.endpoint_name or shown_url(self.base_url)

    @property
    def parallelism(self) -> str:
        """How many requests may be in flight, in words."""
        most = str(self.num_samples_in_parallel)
        return most if self.parallel_min is None else f"{self.parallel_min}-{most}"

    def identity(self) -> dict[str, Any]:
        """What decides the content of the rollouts, as JSON: --resume refuses a run whose identity differs.

        Paths, parallelism, time limits, retries and keys are left out: they change how, not what.
        """
        identity = {
            "protocol": self.protocol,
            "endpoint": self.endpoint,
            "model": self.model,
            "agent_name": self.agent_name,
            "num_repeats": self.num_repeats,
            "limit": self.limit,
            "params": dict(self.params),
            "seed": self.seed,
            "send_seed": self.send_seed,
            "verifier": self.verifier,
        }
        later: dict[str, Any] = {
            "until_gap": self.until_gap,
            "min_chosen": self.min_chosen,
            "futile_after": self.futile_after,
            "vetoes": self.vetoes,
            "repeats_by_agent": dict(self.repeats_by_agent),
            "samples_per_request": self.samples_per_request if self.samples_per_request > 1 else None,
            "temperatures": self.temperatures,
            "system_prompt": self.system_prompt,
            "prompt_template": self.prompt_template,
            "extra_body": dict(self.extra_body),
        }
        # Only where they say something (a gap of 0 does): runs from before they existed can be resumed.
        return identity | {name: value for name, value in later.items() if value or value == 0}

    @property
    def verifier_specs(self) -> tuple[str, ...]:
        """The verifier's specifications: none, one, or several to be mixed."""
        if self.verifier is None:
            return ()
        return (self.verifier,) if isinstance(self.verifier, str) else tuple(self.verifier)

    @property
    def base_urls(self) -> tuple[str, ...]:
        """Every endpoint's URL, `base_url` first, each once."""
        return tuple(dict.fromkeys((self.base_url, *self.replica_urls)))
