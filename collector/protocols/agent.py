"""The `agent` protocol: POST {base_url}/run of a NeMo Gym agent, which answers with a whole output row and its reward.

The body is the source row with `responses_create_params` merged in, `agent_ref` (the row's own wins) and the two
indices. NeMo Gym refuses a parameter it does not know with a 422, so those travel as the JSON text of
`metadata.extra_body`, where its model servers look for them; a seed goes the same way, as its `num_repeats_add_seed`
does it. So do the settings' `extra_body` fields, save those that NeMo Gym knows: they stand in
`responses_create_params` itself.

No cookies are sent or kept, as NeMo Gym's own collector keeps none: for each /run the agent opens a session of its own
with the resources server (`POST /seed_session`), and two rollouts must not share one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from collector.errors import ReplyError
from collector.protocols.bodies import encode_body
from collector.protocols.items import responses_input
from collector.protocols.params import split_extra_body, to_responses_params
from collector.protocols.replies import one_json_line, read_object
from collector.protocols.responses import read_response
from collector.protocols.server_text import one_line
from collector.records.rows import JsonObject, Reply, Task
from collector.records.tools import NEMO_GYM_PARAMS
from collector.settings import CollectSettings

__all__ = ["AgentProtocol", "agent_of"]

_NOT_FIELDS = ("response", "reward", "_ng_task_index", "_ng_rollout_index")


class _Row(msgspec.Struct):
    """An output row of which only the `response` is wanted, as the bytes it came in."""

    response: msgspec.Raw = msgspec.Raw(b"null")


_READ_ROW = msgspec.json.Decoder(_Row)


class AgentProtocol:
    """A row in, the agent's output row out: its response, its reward, its own fields."""

    name = "agent"
    path = "/run"
    sends_seed = False
    several = False

    def build(self, task: Task, settings: CollectSettings, samples: int = 1) -> bytes:
        body = dict(task.row.fields)
        if settings.agent_name is not None and agent_of(body) is None:
            body["agent_ref"] = {"name": settings.agent_name}
        body["responses_create_params"] = {"input": responses_input(task.row.input), **_params(task, settings)}
        body["_ng_task_index"], body["_ng_rollout_index"] = task.key
        return encode_body(body, task)

    def parse(self, body: bytes) -> Reply:
        """Raises also for a row that marks itself as failed, or whose reward is no finite number; the error's
        `reply` is then the agent's row: many turns may have been paid for."""
        data = _read_json(body)
        try:
            return _read_row(data, body)
        except ReplyError as error:
            error.reply = one_json_line(body)
            raise

    def parse_samples(self, body: bytes) -> list[Reply]:
        return [self.parse(body)]


def agent_of(fields: JsonObject) -> str | None:
    """The agent that a row names, as NeMo Gym's rows do; None when it names none."""
    ref = fields.get("agent_ref")
    name = ref.get("name") if isinstance(ref, dict) else None
    return name if isinstance(name, str) and name else None


def _params(task: Task, settings: CollectSettings) -> JsonObject:
    params = to_responses_params(task.params)
    model = settings.model or task.params.get("model")
    if model:
        params["model"] = model
    extra = {name: params.pop(name) for name in list(params) if name not in NEMO_GYM_PARAMS}
    if task.seed is not None:
        extra["seed"] = task.seed
    _add_extra_body(params, extra, settings.extra_body)
    if extra:
        params["metadata"] = {**params.get("metadata", {}), "extra_body": orjson.dumps(extra).decode()}
    return params


def _add_extra_body(params: JsonObject, extra: JsonObject, given: Mapping[str, Any]) -> None:
    """The settings' own fields, each where NeMo Gym takes it: in `params`, or in what becomes the extra body."""
    for name, value in given.items():
        (params if name in NEMO_GYM_PARAMS else extra)[name] = value
    extra.update(split_extra_body(params))
    if not isinstance(params.get("metadata"), dict):
        params.pop("metadata", None)


def _read_json(body: bytes) -> JsonObject:
    try:
        return read_object(body)
    except ReplyError as error:
        if error.failure_class == "not_json" and _has_bare_nan(body):
            raise ReplyError("the agent's row holds NaN or Infinity", failure_class="bad_reward") from error
        raise


def _read_row(data: JsonObject, body: bytes) -> Reply:
    """The Reply in an agent's row. Raises ReplyError for one that marks itself as failed: a failure, never a zero."""
    if data.get("_ng_failure_class"):
        failure = one_line(str(data["_ng_failure_class"]), 60)
        failed = ReplyError(f"the agent marked its row as failed: {failure}", failure_class=failure)
        failed.retryable = not data.get("_ng_failure_terminal")
        raise failed
    reward = _reward(data)
    response = data.get("response")
    if not isinstance(response, dict):
        keys = one_line(", ".join(data), 200) or "none"
        raise ReplyError(f"the agent's row has no response; its keys: {keys}", failure_class="wrong_shape")
    fields = {name: value for name, value in data.items() if name not in _NOT_FIELDS}
    raw = one_json_line(bytes(_READ_ROW.decode(body).response))
    return read_response(response, raw, reward, fields)


def _reward(data: JsonObject) -> float | None:
    """The row's reward, None when it has none. Raises ReplyError for one that is no finite number."""
    if "reward" not in data:
        return None
    reward: Any = data["reward"]
    if isinstance(reward, bool) or not isinstance(reward, int | float) or not math.isfinite(reward):
        raise ReplyError(
            f"the agent's reward is {one_line(repr(reward), 60)}; a finite number is needed", failure_class="bad_reward"
        )
    return float(reward)


def _has_bare_nan(body: bytes) -> bool:
    """True for what Python's own json module writes and JSON forbids: NaN or Infinity as a number."""
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
