"""`judge`: a language model grades each reply by itself, on any OpenAI-compatible server.

The score is read strictly (`judge_score`). A reply of the judge without one is asked for again, with another seed; when
none of its tries says a score there is no reward, and never a zero. What the judge is asked: `judge_prompt`.
"""

from __future__ import annotations

import hashlib
import statistics
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio

from collector.errors import ReplyError, VerifierError
from collector.protocols.chat import ChatProtocol
from collector.protocols.server_text import one_line
from collector.records.rows import JsonObject, PromptRow, Reply, Task, Verdict
from collector.settings import CollectSettings
from collector.stopping import first_error
from collector.verifiers.base import BaseVerifier
from collector.verifiers.judge_prompt import JudgePrompt, built_in_template, read_template
from collector.verifiers.judge_score import (
    NoScoreError,
    ScoreReader,
    json_reader,
    json_schema,
    line_reader,
    pattern_reader,
    shown_number,
)
from collector.verifiers.model_client import SERVER_PARAMETERS, ModelServer, server_place
from collector.verifiers.spec import Parameters, read_parameters

__all__ = ["JudgeVerifier", "build_judge"]

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


@dataclass(frozen=True, slots=True)
class Judgement:
    """One judgement: the score on the judge's own scale, its words, and the tokens that it and its failed tries cost
    (input, output)."""

    score: float
    text: str
    tokens: tuple[int, int]


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
        """Raises VerifierError: `judge_unparsed` when the judge gave no readable score, else what its server did."""
        question = self._prompt.render(task, reply)
        judgements = await self._samples(task, question)
        scores = [judgement.score for judgement in judgements]
        score = statistics.fmean(scores)
        components = {"score": score}
        if len(scores) > 1:
            components["score_spread"] = statistics.pstdev(scores)
        return Verdict((score - self._low) / (self._high - self._low), components, self._fields(judgements))

    def _fields(self, judgements: list[Judgement]) -> JsonObject:
        texts = [_shortened(judgement.text) for judgement in judgements]
        read, written = (sum(tokens) for tokens in zip(*(one.tokens for one in judgements), strict=True))
        usage = {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
        return {"judge": texts[0] if len(texts) == 1 else texts, "judge_usage": usage}

    async def _samples(self, task: Task, question: str) -> list[Judgement]:
        if self._sampling.samples == 1:
            return [await self._judge(task, question, 0)]
        found: dict[int, Judgement] = {}

        async def one(sample: int) -> None:
            found[sample] = await self._judge(task, question, sample)

        try:
            async with anyio.create_task_group() as group:
                for sample in range(self._sampling.samples):
                    group.start_soon(one, sample)
        except* VerifierError as errors:
            raise first_error(errors) from None
        return [found[sample] for sample in range(self._sampling.samples)]

    async def _judge(self, task: Task, question: str, sample: int) -> Judgement:
        """One judgement, asked for again while it says no score. Raises VerifierError."""
        read = written = 0
        problem = ""
        for number in range(self._sampling.tries):
            said = _parse(await self._server.post("/chat/completions", self._body(task, question, sample, number)))
            if said.usage is not None:
                read, written = read + said.usage.input_tokens, written + said.usage.output_tokens
            try:
                return Judgement(self._score_in(said), said.text, (read, written))
            except NoScoreError as error:
                problem = str(error)
        tries = f"{self._sampling.tries} tries" if self._sampling.tries > 1 else "one try"
        raise VerifierError(f"{self.name}: no score in {tries}; of the last: {problem}", failure_class=UNPARSED)

    def _score_in(self, said: Reply) -> float:
        if said.finish_reason == "length":
            raise NoScoreError(f"it was cut at {self._sampling.max_tokens or 'the server'}'s limit: raise max_tokens=")
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


def build_judge(rest: str, settings: CollectSettings) -> JudgeVerifier:
    """From `judge:url=...,...`; `pattern` runs to the end of the specification. Raises VerifierSetupError."""
    accepted = (*SERVER_PARAMETERS, *_OWN_PARAMETERS)
    given = read_parameters("judge", rest, accepted, last="pattern")
    low, high = _real(given, "min", 1.0), _real(given, "max", 10.0)
    if not low < high:
        raise given.error("max", f"give a number greater than min ({shown_number(low)})")
    style = given.choice("format", ("text", "json"))
    prompt, digest = _prompt(given, style, low, high)
    return JudgeVerifier(
        ModelServer(server_place(given, settings), settings),
        prompt,
        _reader(given, style, low, high),
        low=low,
        high=high,
        sampling=_sampling(given, settings),
        response_format=json_schema(low, high) if style == "json" else None,
        code_digest=digest,
    )


_OWN_PARAMETERS = (
    "template",
    "reference",
    "min",
    "max",
    "format",
    "samples",
    "tries",
    "temperature",
    "max_tokens",
)


def _prompt(given: Parameters, style: str, low: float, high: float) -> tuple[JudgePrompt, str | None]:
    """The prompt, and the digest of the user's own template."""
    reference = given.text("reference", "expected_answer")
    if not given.given("template"):
        template = built_in_template(style, reference=given.given("reference"))
        return JudgePrompt(template, "the judge's template", reference=reference, low=low, high=high), None
    path = Path(given.text("template", ""))
    template = read_template(path, given.verifier)
    prompt = JudgePrompt(template, str(path), reference=reference, low=low, high=high)
    if not prompt.shows_answer:
        raise given.error("template", "it has no {answer}: the judge would not see what it grades")
    return prompt, hashlib.sha256(template.encode()).hexdigest()


def _reader(given: Parameters, style: str, low: float, high: float) -> ScoreReader:
    if style == "json":
        if given.given("pattern"):
            raise given.error("pattern", "format=json reads the score from the JSON object: give one of the two")
        return json_reader(low, high)
    if given.given("pattern"):
        return pattern_reader(given.text("pattern", ""), given.verifier, low, high)
    return line_reader(low, high)


def _sampling(given: Parameters, settings: CollectSettings) -> Sampling:
    return Sampling(
        temperature=None if given.text("temperature", "0") == "none" else given.number("temperature", 0.0),
        max_tokens=None if given.text("max_tokens", "") == "none" else given.count("max_tokens", 2048),
        samples=given.count("samples", 1),
        tries=given.count("tries", 3),
        seed=settings.seed,
    )


def _real(given: Parameters, name: str, default: float) -> float:
    """A finite number, negative ones too."""
    text = given.text(name, str(default))
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise given.error(name, "give a number")
    return value


def _parse(body: bytes) -> Reply:
    """The judge's reply. Raises VerifierError, retryable, for one that is none."""
    try:
        return _CHAT.parse(body)
    except ReplyError as error:
        raise VerifierError(
            one_line(f"the judge's server: {error}"), failure_class="verifier_bad_reply", retryable=True
        ) from None


def _seed(run_seed: int, task: Task, sample: int, number: int) -> int:
    """In [0, 2**31), and the same for the same rollout in every run."""
    source: Any = f"{run_seed}/{task.row.prompt_id}/{task.key}/{sample}/{number}".encode()
    return int.from_bytes(hashlib.blake2b(source, digest_size=4).digest(), "big") >> 1


def _shortened(text: str) -> str:
    """At most `_KEPT_TEXT` characters: the beginning and the end, where the score is."""
    if len(text) <= _KEPT_TEXT:
        return text
    half = _KEPT_TEXT // 2
    return f"{text[:half]} [...] {text[-half:]}"
