"""`judge`: a language model grades each reply by itself, on any OpenAI-compatible server.

The score is read strictly (`judge_score`). A reply of the judge without one is asked for again, with another seed; when
none of its tries says a score there is no reward, and never a zero. What the judge is asked: `judge_prompt`.
"""

from __future__ import annotations

import hashlib
import statistics
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import anyio

from collector.errors import ReplyError, VerifierError
from collector.protocols.chat import ChatProtocol
from collector.protocols.server_text import one_line
from collector.records.rows import JsonObject, PromptRow, Reply, Task, Verdict
from collector.stopping import first_error
from collector.verifiers.answered import Answered
from collector.verifiers.base import BaseVerifier
from collector.verifiers.judge_prompt import JudgePrompt
from collector.verifiers.judge_score import NoScoreError, ScoreReader
from collector.verifiers.model_client import ModelServer

__all__ = ["JudgeVerifier", "Sampling"]

UNPARSED = "judge_unparsed"
"""The failure class of a reply that the judge gave no readable score."""

_KEPT_TEXT = 4000
_WARM = 0.7
"""The temperature of every sample where several are wanted, and of a try after one that said no score: a greedy judge
would say the same again, whatever its seed."""
_CHAT = ChatProtocol()


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the judge is sampled. None for `temperature` or `max_tokens` leaves it to the server; `samples` judgements
    of each reply are averaged; each has `tries` to say a score."""

    temperature: float | None = 0.0
    max_tokens: int | None = 2048
    samples: int = 1
    tries: int = 3
    seed: int = 0


@dataclass(slots=True)
class Judgement:
    """One judgement under way, and at its end: how many of its tries are spent, the tokens that they cost (input,
    output), what was wrong with the last; then the score on the judge's own scale, and its words."""

    tries: int = 0
    read: int = 0
    written: int = 0
    problem: str = ""
    score: float | None = None
    text: str = ""


class JudgeVerifier(BaseVerifier):
    """The judge's score, scaled from `low` .. `high` to 0 .. 1. The score itself is the component `score`; the judge's
    words stand in the field `judge`, its tokens in `judge_usage`."""

    name = "judge"

    def __init__(
        self,
        server: ModelServer,
        prompt: JudgePrompt,
        read: ScoreReader,
        *,
        low: float,
        high: float,
        sampling: Sampling,
        response_format: JsonObject | None = None,
        code_digest: str | None = None,
    ) -> None:
        self.code_digest = code_digest
        self._server = server
        self._prompt = prompt
        self._read = read
        self._low = low
        self._high = high
        self._sampling = sampling
        self._format = response_format
        self._answered: Answered[list[Judgement]] = Answered()

    def check(self, row: PromptRow) -> str | None:
        return self._prompt.problem_in(row)

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._server.__aexit__(exc_type, exc, traceback)

    async def verify(self, task: Task, reply: Reply) -> Verdict:
        """Raises VerifierError: `judge_unparsed` when the judge gave no readable score, else what its server did.
        Called again with the same reply after one that may pass, it goes on where it was: nothing is paid twice."""
        judgements = self._answered.take(reply) or [Judgement() for _ in range(self._sampling.samples)]
        try:
            await self._judge_all(task, self._prompt.render(task, reply), judgements)
        except VerifierError as error:
            if error.retryable:
                self._answered.keep(reply, judgements)
            raise
        scores = [one.score for one in judgements if one.score is not None]
        score = statistics.fmean(scores)
        components = {"score": score}
        if len(scores) > 1:
            components["score_spread"] = statistics.pstdev(scores)
        return Verdict((score - self._low) / (self._high - self._low), components, _fields(judgements))

    async def _judge_all(self, task: Task, question: str, judgements: list[Judgement]) -> None:
        """Asks for all that are open, together. A fault that may pass is raised when all are over, others at once."""
        if len(judgements) == 1:
            await self._judge(task, question, 0, judgements[0])
            return
        passing: list[VerifierError] = []

        async def one(sample: int) -> None:
            try:
                await self._judge(task, question, sample, judgements[sample])
            except VerifierError as error:
                if not error.retryable:
                    raise
                passing.append(error)

        try:
            async with anyio.create_task_group() as group:
                for sample, judgement in enumerate(judgements):
                    if judgement.score is None:
                        group.start_soon(one, sample)
        except* VerifierError as errors:
            raise first_error(errors) from None
        if passing:
            raise passing[0]

    async def _judge(self, task: Task, question: str, sample: int, judgement: Judgement) -> None:
        """One judgement, asked for again while it says no score. Raises VerifierError."""
        most = self._sampling.tries
        while judgement.tries < most:
            body = self._body(task, question, sample, judgement.tries)
            said = _parse(await self._server.post("/chat/completions", body))
            judgement.tries += 1
            if said.usage is not None:
                judgement.read += said.usage.input_tokens
                judgement.written += said.usage.output_tokens
            try:
                judgement.score = self._score_in(said)
            except NoScoreError as error:
                judgement.problem = str(error)
            else:
                judgement.text = said.text
                return
        tries = f"{most} tries" if most > 1 else "one try"
        message = f"{self.name}: no score in {tries}; of the last: {judgement.problem}"
        raise VerifierError(message, failure_class=UNPARSED)

    def _score_in(self, said: Reply) -> float:
        if said.finish_reason == "length":
            limit = self._sampling.max_tokens
            raise NoScoreError(f"it was cut at {f'{limit} tokens' if limit else 'its length'}: raise max_tokens=")
        return self._read(said.text)

    def _body(self, task: Task, question: str, sample: int, number: int) -> JsonObject:
        body: JsonObject = {
            "model": self._server.model,
            "messages": [{"role": "user", "content": question}],
            "seed": _seed(self._sampling.seed, task, sample, number),
            "stream": False,
        }
        temperature = self._sampling.temperature
        if temperature is not None:
            body["temperature"] = max(temperature, _WARM) if number or self._sampling.samples > 1 else temperature
        if self._sampling.max_tokens is not None:
            body["max_tokens"] = self._sampling.max_tokens
        if self._format is not None:
            body["response_format"] = self._format
        return body


def _parse(body: bytes) -> Reply:
    """The judge's reply. Raises VerifierError, retryable, for one that is none."""
    try:
        return _CHAT.parse(body)
    except ReplyError as error:
        raise VerifierError(
            one_line(f"the judge's server: {error}"), failure_class="verifier_bad_reply", retryable=True
        ) from None


def _fields(judgements: list[Judgement]) -> JsonObject:
    texts = [_shortened(one.text) for one in judgements]
    read, written = sum(one.read for one in judgements), sum(one.written for one in judgements)
    usage = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
    return {"judge": texts[0] if len(texts) == 1 else texts, "judge_usage": usage}


def _seed(run_seed: int, task: Task, sample: int, number: int) -> int:
    """In [0, 2**31), and the same for the same rollout in every run."""
    source = f"{run_seed}/{task.row.prompt_id}/{task.key}/{sample}/{number}".encode()
    return int.from_bytes(hashlib.blake2b(source, digest_size=4).digest(), "big") >> 1


def _shortened(text: str) -> str:
    """At most `_KEPT_TEXT` characters: the beginning and the end, where the score is."""
    if len(text) <= _KEPT_TEXT:
        return text
    half = _KEPT_TEXT // 2
    return f"{text[:half]} [...] {text[-half:]}"
