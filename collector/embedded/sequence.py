"""What is being generated: a `Sequence` is one choice of one prompt, a `Generation` all choices of one request."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from collector.embedded.sampling import Sampling
from collector.embedded.text import TextAssembler

FinishReason = Literal["stop", "length"]


class PromptKey(NamedTuple):
    """What a prompt's state is kept under: requests with another `cache_salt` share none of it, as in vLLM."""

    prompt: tuple[int, ...]
    salt: str | None = None


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A generated token, its log probability (natural, before temperature) and the likeliest others, best first."""

    token: int
    logprob: float
    top: tuple[tuple[int, float], ...]


@dataclass(slots=True, eq=False)
class Sequence:
    """One choice. `index`: its place in the reply; `draw`: its place among its prompt's, which keys its randomness."""

    prompt: tuple[int, ...]
    sampling: Sampling
    generation: "Generation"
    index: int
    draw: int
    assembler: TextAssembler
    tokens: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish_reason: FinishReason | None = None

    @property
    def key(self) -> PromptKey:
        return PromptKey(self.prompt, self.generation.salt)

    @property
    def watched(self) -> bool:
        """Whether every token must be looked at as it comes; otherwise the text is made once, at the end."""
        return self.generation.streaming or bool(self.sampling.stop)

    def extend(self, tokens: list[int], pieces: list[bytes]) -> bool:
        """Add generated tokens to the text; True when a stop string is complete."""
        self.tokens.extend(tokens)
        return self.assembler.push(b"".join([pieces[token] for token in tokens]))

    def finish(self, *, ended: bool) -> None:
        """Close the sequence; `ended` when the model gave its end token."""
        self.finish_reason = "stop" if ended or self.assembler.stopped_by is not None else "length"
        self.generation.finished(self)


class Generation:
    """The choices of one request. The engine changes it; a handler waits on it. Both live in one event loop."""

    def __init__(
        self,
        prompts: list[tuple[int, ...]],
        sampling: Sampling,
        n: int = 1,
        *,
        streaming: bool = False,
        salt: str | None = None,
    ) -> None:
        self.streaming = streaming
        self.salt = salt
        self.aborted = False
        self.arrival = time.perf_counter()
        self.sequences = [
            Sequence(prompt, sampling, self, index * n + draw, draw, TextAssembler(sampling.stop))
            for index, prompt in enumerate(prompts)
            for draw in range(n)
        ]
        self.prompt_tokens = sum(map(len, prompts))
        self._open = len(self.sequences)
        self._changed = asyncio.Event()

    @property
    def done(self) -> bool:
        """True when no more will come."""
        return self.aborted or self._open == 0

    @property
    def completion_tokens(self) -> int:
        """Generated tokens of all choices, end tokens counted."""
        return sum(len(sequence.tokens) for sequence in self.sequences)

    def finished(self, sequence: Sequence) -> None:
        """Count one sequence as finished (called by it)."""
        self._open -= 1
        if self.streaming or not self._open:
            self._changed.set()

    def progressed(self) -> None:
        """Wake the one who streams."""
        self._changed.set()

    def abort(self) -> None:
        """Nobody waits for the rest."""
        if not self.done:
            self.aborted = True
            self._changed.set()

    async def wait(self) -> None:
        """Until done, or, when streaming, until something has changed since the last wait."""
        await self._changed.wait()
        self._changed.clear()
