"""Between HTTP and the engine: checks a request against the model (name, length) and starts its generation."""

import asyncio
import secrets
import time
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.types import Receive

from collector.embedded.api.errors import ApiError
from collector.embedded.api.fields import SamplingFields
from collector.embedded.batch import Batch
from collector.embedded.chat_template import ChatTemplate
from collector.embedded.checkpoint import read_json, read_weights
from collector.embedded.engine import Engine
from collector.embedded.metrics import Metrics
from collector.embedded.sampling import Sampling
from collector.embedded.sequence import Generation
from collector.embedded.tokenizer import Tokenizer
from collector.embedded.transformer import Transformer


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an endpoint asks for beyond the shared fields; `max_tokens` None means up to the end of the context.

    The endpoints call prompt and limit by different names, which errors must use.
    """

    prompt_field: str
    max_tokens_field: str = "max_tokens"
    max_tokens: int | None = None
    n: int = 1
    logprobs: int | None = None


class Service:
    """One loaded model. Raises `InputError` when the checkpoint cannot be served."""

    def __init__(self, model_dir: Path, model_name: str, max_batch: int) -> None:
        self.model_name = model_name
        self.created = int(time.time())
        self.tokenizer = Tokenizer(model_dir)
        self.template = ChatTemplate(model_dir)
        transformer = Transformer(read_weights(model_dir))
        self.context = transformer.shape.context
        self._vocabulary = transformer.shape.vocab_size
        self._defaults = _generation_config(model_dir)
        # A vocabulary padded beyond the tokenizer's: the rest of its ids stand for no text.
        padding = [b""] * (self._vocabulary - len(self.tokenizer.pieces))
        batch = Batch(transformer, self.tokenizer.pieces + padding, _end_tokens(model_dir, self._defaults), max_batch)
        self.metrics = Metrics(model_name)
        self.engine = Engine(transformer, batch, self.metrics)

    def check_model(self, name: str | None) -> None:
        """Raise 404 for another model's name; none means this one."""
        if name is not None and name != self.model_name:
            message = f"the model {name!r} does not exist; this server has {self.model_name!r}"
            raise ApiError(message, status=404, param="model", code="model_not_found")

    def check_tokens(self, tokens: SequenceOf[int], param: str) -> None:
        """Raise 400 for an empty prompt and for ids outside the vocabulary."""
        if not tokens:
            raise ApiError(f"{param}: the prompt is empty", param=param)
        if not 0 <= min(tokens) <= max(tokens) < self._vocabulary:
            raise ApiError(f"{param}: token ids must be from 0 to {self._vocabulary - 1}", param=param)

    def start(self, prompts: list[tuple[int, ...]], fields: SamplingFields, wanted: Wanted) -> Generation:
        """Queue a request; raise 400 when a prompt and its reply do not fit the context."""
        longest = max(map(len, prompts))
        room = self.context - longest
        limit = f"this model's maximum context length is {self.context} tokens"
        if room < 1:
            message = f"{limit}, the prompt has {longest}; shorten it to {self.context - 1} or fewer"
            raise ApiError(message, param=wanted.prompt_field, code="context_length_exceeded")
        if wanted.max_tokens is not None and wanted.max_tokens > room:
            field = wanted.max_tokens_field
            message = f"{field} is {wanted.max_tokens}, but {limit} and the prompt has {longest}; give {room} or less"
            raise ApiError(message, param=field, code="context_length_exceeded")
        sampling = self._sampling(fields, wanted.max_tokens or room, wanted.logprobs)
        generation = Generation(prompts, sampling, wanted.n, streaming=bool(fields.stream), salt=fields.cache_salt)
        self.engine.submit(generation)
        return generation

    async def completed(self, request: Request, generation: Generation) -> bool:
        """Wait for a generation that does not stream; False when the client left before the end."""
        watcher = asyncio.create_task(self._abort_on_disconnect(request.receive, generation))
        try:
            await generation.wait()
        finally:
            watcher.cancel()
            self.engine.abort(generation)
        return not generation.aborted

    async def _abort_on_disconnect(self, receive: Receive, generation: Generation) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.engine.abort(generation)

    def _sampling(self, fields: SamplingFields, max_tokens: int, logprobs: int | None) -> Sampling:
        stop = (fields.stop,) if isinstance(fields.stop, str) else tuple(fields.stop or ())
        if "" in stop:
            raise ApiError("stop: an empty string stops everything; leave it out", param="stop", code="invalid_value")
        defaults = self._defaults
        return Sampling(
            seed=secrets.randbits(63) if fields.seed is None else fields.seed,
            max_tokens=max_tokens,
            temperature=_first(fields.temperature, defaults.get("temperature"), 1.0),
            top_p=_first(fields.top_p, defaults.get("top_p"), 1.0),
            top_k=int(_first(fields.top_k, defaults.get("top_k"), 0)),
            min_p=_first(fields.min_p, defaults.get("min_p"), 0.0),
            stop=stop,
            logprobs=logprobs,
            ignore_eos=bool(fields.ignore_eos),
        )


def _first(*values: float | None) -> float:
    return next(value for value in values if value is not None)


def _generation_config(model_dir: Path) -> dict[str, float | None]:
    """generation_config.json gives the defaults of parameters a request leaves out, as in vLLM; it may be missing."""
    path = model_dir / "generation_config.json"
    return read_json(path) if path.exists() else {}


def _end_tokens(model_dir: Path, generation_config: dict[str, float | None]) -> list[int]:
    ends = generation_config.get("eos_token_id")
    if ends is None:
        ends = read_json(model_dir / "config.json").get("eos_token_id")
    return ends if isinstance(ends, list) else [] if ends is None else [int(ends)]
