"""`reward_model`: the number that a reward model gives to the prompt and its reply.

The server renders the conversation with the model's own chat template; a template of the user's replaces that. How
each kind of server is asked stands in `reward_apis`.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from collector.errors import InputError, VerifierError
from collector.records.rows import JsonObject, PromptRow, Reply, Task, Verdict
from collector.settings import CollectSettings
from collector.templates import Template
from collector.verifiers.base import BaseVerifier
from collector.verifiers.conversation import answer_text, conversation, inert, prompt_text
from collector.verifiers.fields import problem_in
from collector.verifiers.judge_prompt import read_template
from collector.verifiers.model_client import SERVER_PARAMETERS, ModelServer, server_place
from collector.verifiers.reward_apis import APIS, JOINS, Question, RewardApi, join_vectors, read_json
from collector.verifiers.spec import Parameters, read_parameters

__all__ = ["RewardModelVerifier", "build_reward_model"]

_NAME = "reward_model"
_ACTIVATION = {"server": None, "yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class Reading:
    """Which number of an answer is the reward: see `join_vectors`; `sigmoid` presses it into 0 .. 1 afterwards."""

    index: int | None = None
    join: str = "last"
    sigmoid: bool = False


class RewardModelVerifier(BaseVerifier):
    """The reward model's number. With a sigmoid the number before it is the component `score`; a model with labels
    puts the one it chose into the field `reward_label`."""

    name = _NAME

    def __init__(
        self,
        server: ModelServer,
        api: RewardApi,
        reading: Reading,
        *,
        activation: bool | None = None,
        template: tuple[Template, str] | None = None,
        code_digest: str | None = None,
    ) -> None:
        self.code_digest = code_digest
        self._server = server
        self._api = api
        self._reading = reading
        self._extra: JsonObject = {} if activation is None else {"use_activation": activation}
        self._template = template

    def check(self, row: PromptRow) -> str | None:
        return problem_in(row, lambda row: self._fill(row, "", ""))

    async def __aenter__(self) -> Self:
        await self._server.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._server.__aexit__(exc_type, exc, traceback)

    async def verify(self, task: Task, reply: Reply) -> Verdict:
        """Raises VerifierError: `bad_reward` for an answer without one finite number, else what the server did."""
        body = {"model": self._server.model, **self._api.request(self._question(task, reply)), **self._extra}
        vectors, label = self._api.read(read_json(await self._server.post(self._api.path, body)))
        score = join_vectors(vectors, self._reading.index, self._reading.join)
        if not math.isfinite(score):
            raise VerifierError(f"the joined reward is {score}; a finite number is needed", failure_class="bad_reward")
        fields = {} if label is None else {"reward_label": label}
        if self._reading.sigmoid:
            return Verdict(_sigmoid(score), {"score": score}, fields)
        return Verdict(score, {}, fields)

    def _question(self, task: Task, reply: Reply) -> Question:
        prompt, answer = prompt_text(task), inert(answer_text(reply))
        return Question(conversation(task, reply), prompt, answer, self._fill(task.row, prompt, answer))

    def _fill(self, row: PromptRow, prompt: str, answer: str) -> str | None:
        if self._template is None:
            return None
        template, where = self._template
        try:
            return template.fill({**row.fields, "prompt": prompt, "answer": answer}, where)
        except InputError as error:
            raise VerifierError(f"line {row.line}: {error}", failure_class="missing_field") from None


def build_reward_model(rest: str, settings: CollectSettings) -> RewardModelVerifier:
    """From `reward_model:url=...,api=...,...`. Raises VerifierSetupError."""
    own = ("api", "index", "join", "activation", "scale", "template")
    given = read_parameters(_NAME, rest, (*SERVER_PARAMETERS, *own))
    api = APIS[given.choice("api", list(APIS))]
    if given.given("activation") and not api.takes_activation:
        raise given.error("activation", "SGLang's /classify has no such switch: leave it out")
    template, digest = _template(given, api)
    place = server_place(given, settings)
    return RewardModelVerifier(
        ModelServer(replace(place, url=place.url.removesuffix("/v1")), settings, models_path="/v1/models"),
        api,
        Reading(
            index=_index(given),
            join=given.choice("join", list(JOINS)),
            sigmoid=given.choice("scale", ("none", "sigmoid")) == "sigmoid",
        ),
        activation=_ACTIVATION[given.choice("activation", list(_ACTIVATION))],
        template=template,
        code_digest=digest,
    )


def _index(given: Parameters) -> int | None:
    value = given.number("index", 0)
    if value != int(value):
        raise given.error("index", "give a whole number, counted from 0")
    return int(value) if given.given("index") else None


def _template(given: Parameters, api: RewardApi) -> tuple[tuple[Template, str] | None, str | None]:
    """The user's template with its name for messages, and its digest."""
    if not given.given("template"):
        if api.needs_template:
            raise given.error("template", "SGLang's /classify renders no chat template: give a file that does")
        return None, None
    if not api.takes_template:
        raise given.error("template", "/score takes the prompt and the answer as they are: leave it out")
    path = Path(given.text("template", ""))
    text = read_template(path, given.verifier)
    template = Template.parse(text, str(path))
    if not template.uses("answer"):
        raise given.error("template", "it has no {answer}: the model would not see what it scores")
    return (template, str(path)), hashlib.sha256(text.encode()).hexdigest()


def _sigmoid(value: float) -> float:
    """1 / (1 + e^-value), for any finite value."""
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-value))
    power = math.exp(value)
    return power / (1.0 + power)
