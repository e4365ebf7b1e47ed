"""Several verifiers as one: the weighted mean of their rewards, and vetoes that make it 0.

Who is asked when: first the verifiers that do not wait, vetoes or not; then the vetoes that wait; then the parts that
wait. Once a veto has said no, nobody is asked who waits: a judge costs money. For the
same reason a verdict that is tried again asks only those who have not answered.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import anyio

from collector.errors import VerifierError, VerifierSetupError
from collector.protocols.server_text import one_line
from collector.records.rows import PromptRow, Reply, Task, Verdict
from collector.stopping import first_error
from collector.verifiers.answered import Answered
from collector.verifiers.base import BaseVerifier, Verifier
from collector.verifiers.spec import PartSpec, read_part, split_spec

__all__ = ["MixVerifier", "Part", "build_mix"]


@dataclass(frozen=True, slots=True)
class Part:
    """One verifier of a mix, under a name that no other has. `weight` is its share, 0 or more; None makes it a veto."""

    name: str
    verifier: Verifier
    weight: float | None


class MixVerifier(BaseVerifier):
    """reward = the sum of weight x reward over the sum of weights; 0 when a veto gives 0 or less.

    Components are each part's reward under its name and its components under `name.component`; its fields are kept as
    `name.field`. `vetoed_by` names the vetoes that said no, where any did.
    """

    name = "mix"

    def __init__(self, parts: Sequence[Part]) -> None:
        """Raises VerifierSetupError when no part has a weight above 0."""
        weights = [part.weight for part in parts if part.weight is not None]
        largest = max(weights, default=0.0)
        if not largest > 0:
            raise VerifierSetupError("--verifier: every weight is 0: give one part of the mix a weight above 0")
        self._parts = tuple(parts)
        total = math.fsum(weight / largest for weight in weights)
        self._shares = {part.name: part.weight / largest / total for part in parts if part.weight is not None}
        self._waves = (
            [part for part in parts if not part.verifier.waits],
            [part for part in parts if part.verifier.waits and part.weight is None],
            [part for part in parts if part.verifier.waits and part.weight is not None],
        )
        self.waits = any(part.verifier.waits for part in parts)
        self.code_digest = _joined_digest([part.verifier.code_digest for part in parts])
        self._opened: AsyncExitStack | None = None
        self._answered: Answered[dict[str, Verdict]] = Answered()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for part in self._parts:
                await stack.enter_async_context(part.verifier)
            self._opened = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._opened is not None:
            await self._opened.__aexit__(exc_type, exc, traceback)

    def check(self, row: PromptRow) -> str | None:
        for part in self._parts:
            problem = part.verifier.check(row)
            if problem:
                return f"{part.name}: {problem}"
        return None

    async def verify(self, task: Task, reply: Reply) -> Verdict:
        """Raises VerifierError, naming the part, when one that was asked has no judgement. Called again with the same
        reply after one that may pass, it asks only the parts that have not answered."""
        verdicts = self._answered.take(reply) or {}
        try:
            for wave in self._waves:
                if not self._vetoed_by(verdicts):
                    await _ask_all([part for part in wave if part.name not in verdicts], task, reply, verdicts)
        except VerifierError as error:
            if error.retryable:
                self._answered.keep(reply, verdicts)
            raise
        return self._mixed(verdicts)

    def _vetoed_by(self, verdicts: Mapping[str, Verdict]) -> list[str]:
        vetoes = (part.name for part in self._parts if part.weight is None)
        return [name for name in vetoes if name in verdicts and verdicts[name].reward <= 0]

    def _mixed(self, verdicts: Mapping[str, Verdict]) -> Verdict:
        vetoed_by = self._vetoed_by(verdicts)
        reward = 0.0
        if not vetoed_by:
            # fsum: the same reward in whichever order the parts were given.
            reward = math.fsum(share * verdicts[name].reward for name, share in self._shares.items())
        components: dict[str, float] = {}
        fields: dict[str, Any] = {"vetoed_by": vetoed_by} if vetoed_by else {}
        for part in self._parts:
            verdict = verdicts.get(part.name)
            if verdict is not None:
                components[part.name] = verdict.reward
                components |= {f"{part.name}.{name}": value for name, value in verdict.components.items()}
                fields |= {f"{part.name}.{name}": value for name, value in verdict.fields.items()}
        return Verdict(reward, components, fields)


async def _ask_all(wave: Sequence[Part], task: Task, reply: Reply, verdicts: dict[str, Verdict]) -> None:
    """Asks the parts of one wave, and puts their verdicts into `verdicts`; those that wait do so together.

    Raises VerifierError. One that may pass is raised when all have answered, any other at once: there is no verdict.
    """
    if len(wave) < 2 or not wave[0].verifier.waits:
        for part in wave:
            await _ask(part, task, reply, verdicts)
        return
    passing: list[VerifierError] = []
    try:
        async with anyio.create_task_group() as group:
            for part in wave:
                group.start_soon(_ask_beside, part, task, reply, verdicts, passing)
    except* Exception as errors:
        raise first_error(errors) from None
    if passing:
        raise passing[0]


async def _ask_beside(
    part: Part, task: Task, reply: Reply, verdicts: dict[str, Verdict], passing: list[VerifierError]
) -> None:
    try:
        await _ask(part, task, reply, verdicts)
    except VerifierError as error:
        if not error.retryable:
            raise
        passing.append(error)


async def _ask(part: Part, task: Task, reply: Reply, verdicts: dict[str, Verdict]) -> None:
    try:
        verdict = await part.verifier.verify(task, reply)
    except VerifierError as error:
        message = one_line(f"{part.name}: {error}")
        raise VerifierError(message, failure_class=error.failure_class, retryable=error.retryable) from error
    if not math.isfinite(verdict.reward):
        raise VerifierError(f"{part.name}: the reward is {verdict.reward}", failure_class="bad_reward")
    verdicts[part.name] = verdict


def build_mix(specs: Sequence[str], vetoes: Sequence[str], *, build: Callable[[str], Verifier]) -> MixVerifier:
    """The mix of `[WEIGHT*][LABEL=]SPEC` parts, each with the weight 1 where it has none, and `[LABEL=]SPEC` vetoes.

    A part is called by its label, else by its verifier's name, the second of them `name_2`. Raises
    VerifierSetupError, which names the part.
    """
    read = [*map(read_part, specs), *map(read_part, vetoes)]
    names = _names_of(read)
    weights = [_weight_of(part, text) for part, text in zip(read, specs, strict=False)]
    built = [build(part.spec) for part in read[: len(specs)]]
    built += [_build_veto(part, text, build) for part, text in zip(read[len(specs) :], vetoes, strict=True)]
    shares = [*weights, *[None] * len(vetoes)]
    return MixVerifier([Part(*part) for part in zip(names, built, shares, strict=True)])


def _weight_of(part: PartSpec, text: str) -> float:
    if part.weight is None:
        return 1.0
    try:
        weight = float(part.weight)
    except ValueError:
        weight = math.nan
    if not math.isfinite(weight) or weight < 0:
        raise VerifierSetupError(
            f"--verifier {text}: the weight {part.weight!r} is no number of 0 or more: write 0.7*numeric"
        )
    return weight


def _build_veto(part: PartSpec, text: str, build: Callable[[str], Verifier]) -> Verifier:
    if part.weight is not None:
        raise VerifierSetupError(f"--veto {text}: a veto has no weight: leave {part.weight}* out")
    try:
        return build(part.spec)
    except VerifierSetupError as error:
        raise VerifierSetupError(str(error).replace("--verifier", "--veto", 1)) from error


def _names_of(parts: Sequence[PartSpec]) -> list[str]:
    """Each part's name in a mix. Raises VerifierSetupError when a label is given twice."""
    labels = [part.label for part in parts if part.label is not None]
    for label in labels:
        if labels.count(label) > 1:
            raise VerifierSetupError(f"--verifier {label}=...: two parts are called {label}: give each its own label")
    taken = set(labels)
    names = []
    for part in parts:
        name = part.label or _free_name(split_spec(part.spec.strip())[0], taken)
        taken.add(name)
        names.append(name)
    return names


def _free_name(name: str, taken: set[str]) -> str:
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def _joined_digest(digests: Sequence[str | None]) -> str | None:
    """One digest for the user's own code in all parts; None where there is none."""
    there = [digest for digest in digests if digest is not None]
    return hashlib.sha256("\n".join(there).encode()).hexdigest() if there else None
