"""Continuous batching: admits waiting sequences into the batch, runs their prompts, advances all by one token a step.

Why float64: the same seed and parameters must give the same output alone and in any batch. BLAS sums in an order that
depends on the batch's shape, so results differ in the last bits. In float64 that noise is about 1e-14 of a logprob, and
a sample changes only when its uniform number lies that close to a border between two tokens: once in some 1e13 tokens.
Other processors round no worse than other batches. `docs/embedded-server.md` has what float32 would gain and lose.

Why in the event loop and not in a thread: a step takes a few milliseconds, the loop serves HTTP between steps, and
without threads nothing needs a lock. The server is meant to keep one core busy and leave the other to its client.
"""

import asyncio
import time
from collections import deque

import numpy as np

from collector.embedded.batch import Batch
from collector.embedded.metrics import Metrics
from collector.embedded.prompt_cache import PromptCache, PromptState
from collector.embedded.sequence import Generation, PromptKey, Sequence
from collector.embedded.transformer import Transformer

# Prompt positions run in one step: bounds how long a burst of prompts keeps running sequences and HTTP waiting.
PREFILL_POSITIONS = 512
# About 100 MB for the bundled model.
CACHED_POSITIONS = 16384
# Turns of the event loop between two steps: a request takes one to be parsed and one to be submitted.
LOOP_TURNS = 2


class Engine:
    """The scheduler. `submit` and `abort` at any time; `run` is one task of the same event loop."""

    def __init__(self, transformer: Transformer, batch: Batch, metrics: Metrics) -> None:
        self._transformer = transformer
        self._batch = batch
        self._metrics = metrics
        self._waiting: deque[Sequence] = deque()
        self._cache = PromptCache(CACHED_POSITIONS)
        self._work = asyncio.Event()
        self._any_aborted = False
        capacity = batch.capacity * transformer.shape.context
        metrics.watch(
            running=lambda: len(batch.sequences),
            waiting=lambda: len(self._waiting),
            cache_usage=lambda: batch.positions_in_use / capacity,
        )

    def submit(self, generation: Generation) -> None:
        """Queue all sequences of a request, first come, first served. The queue has no bound, as in vLLM."""
        self._waiting.extend(generation.sequences)
        self._work.set()

    def abort(self, generation: Generation) -> None:
        """Forget what is left of a request; does nothing when it is done."""
        if not generation.done:
            generation.abort()
            self._any_aborted = True

    async def run(self) -> None:
        """Step while there is work, until cancelled."""
        while True:
            await self._work.wait()
            self.step()
            if not self._waiting and not self._batch.sequences:
                self._work.clear()
            for _ in range(LOOP_TURNS):
                await asyncio.sleep(0)

    def step(self) -> None:
        """Admit what fits, then one token for every running sequence."""
        if self._any_aborted:
            self._drop_aborted()
        admitted = self._admit()
        if not self._batch.sequences:
            return
        finished = self._batch.advance()
        now = time.perf_counter()
        for sequence in admitted:
            self._metrics.started(sequence, now)
        for sequence in finished:
            self._metrics.finished(sequence, now)

    def _drop_aborted(self) -> None:
        self._any_aborted = False
        kept = deque(sequence for sequence in self._waiting if not sequence.generation.aborted)
        self._metrics.aborted(len(self._waiting) - len(kept) + self._batch.drop_aborted())
        self._waiting = kept

    def _admit(self) -> list[Sequence]:
        free = self._batch.capacity - len(self._batch.sequences)
        if not free or not self._waiting:
            return []
        admitted: list[Sequence] = []
        known: dict[PromptKey, PromptState] = {}
        missing: dict[PromptKey, None] = {}
        width = 0
        while self._waiting and len(admitted) < free:
            key = self._waiting[0].key
            if key not in known and key not in missing:
                state = self._cache.get(key)
                if state is not None:
                    known[key] = state
                else:
                    width = max(width, len(key.prompt))
                    if missing and (len(missing) + 1) * width > PREFILL_POSITIONS:
                        break
                    missing[key] = None
            admitted.append(self._waiting.popleft())
        known.update(self._prefill(list(missing)))
        for sequence in admitted:
            self._batch.add(sequence, known[sequence.key])
        return admitted

    def _prefill(self, keys: list[PromptKey]) -> dict[PromptKey, PromptState]:
        if not keys:
            return {}
        lengths = np.array([len(key.prompt) for key in keys])
        tokens = np.zeros((len(keys), int(lengths.max())), dtype=np.int64)
        for row, key in enumerate(keys):
            tokens[row, : len(key.prompt)] = key.prompt
        batch = self._transformer.prefill(tokens, lengths)
        states = {key: PromptState.from_batch(batch, row, len(key.prompt)) for row, key in enumerate(keys)}
        for key, state in states.items():
            self._cache.put(key, state)
        return states
