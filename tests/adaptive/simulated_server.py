"""A server with continuous batching on virtual time: steps of prefill and decode, a key-value cache that fills and
preempts, a queue without bound, or a cap above which it refuses.

It is no model of one GPU. It has what a controller has to do with: throughput that flattens with the batch, a cache
whose fill lags behind the number of sequences, work that a preemption throws away.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from collector.load import ServerLoad


@dataclass(frozen=True)
class Machine:
    """Times in seconds, sizes in tokens. A step decodes one token of each sequence that runs, and reads the prompts of
    those that are let in, up to `budget` tokens."""

    max_seqs: int = 256
    cache: int = 400_000
    budget: int = 8192
    step: float = 0.025
    per_seq: float = 0.0001
    per_prompt_token: float = 0.00005


class Sequence:
    """One request at the server."""

    __slots__ = ("ends", "first_token", "made", "on_end", "output", "preempted", "prompt", "sent")

    def __init__(self, prompt: int, output: int, sent: float, on_end: Callable[[Sequence, bool], None]) -> None:
        self.prompt = prompt
        self.output = output
        self.sent = sent
        self.on_end = on_end
        """Called with whether it went well."""
        self.made = 0
        self.ends = 0
        """The number of the step that makes its last token."""
        self.first_token = 0.0
        self.preempted = 0


class SimulatedServer:
    """Advances from event to event: a run of steps in which nothing but tokens changes is one jump."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.now = 0.0
        self.running = 0
        self.waiting: deque[Sequence] = deque()
        self.used = 0
        self.preemptions = 0
        self.up = True
        self.running_seconds = 0.0
        self.waiting_seconds = 0.0
        """Integrals over time of how many run and wait."""
        self._steps = 0
        self._ends: list[tuple[int, int, Sequence]] = []
        self._stack: list[Sequence] = []
        self._tie = 0

    def send(self, sequence: Sequence) -> None:
        self.waiting.append(sequence)

    def load(self) -> ServerLoad | None:
        """What its metrics say; None while it is down."""
        if not self.up:
            return None
        fill = self.used / self.machine.cache
        return ServerLoad(self.now, self.running, len(self.waiting), min(1.0, fill), self.preemptions)

    def stop(self) -> None:
        """The server goes down: everything at it fails."""
        lost = [sequence for _, _, sequence in self._ends if sequence.ends > 0] + list(self.waiting)
        self.up = False
        self.waiting.clear()
        self._ends.clear()
        self._stack.clear()
        self.running = self.used = self.preemptions = 0
        for sequence in lost:
            sequence.on_end(sequence, False)

    @property
    def idle(self) -> bool:
        return not (self.running or self.waiting)

    def advance(self, until: float) -> None:
        """Some steps, to about `until` or to the next end of a sequence, whichever comes first."""
        read = self._let_in()
        while self.used + self.running > self.machine.cache and self.running > 1:
            self._preempt()
        machine = self.machine
        seconds = machine.step + machine.per_seq * self.running + machine.per_prompt_token * read
        steps = 1 if read or self.waiting_fits else self._steps_to_jump(until, seconds)
        self._steps += steps
        self.now += steps * seconds
        self.used += steps * self.running
        self.running_seconds += steps * seconds * self.running
        self.waiting_seconds += steps * seconds * len(self.waiting)
        while self._ends and self._ends[0][0] <= self._steps:
            step, _, sequence = heapq.heappop(self._ends)
            if step == sequence.ends:
                self._end(sequence)

    @property
    def waiting_fits(self) -> bool:
        """Whether the next in the queue could be let in."""
        if not self.waiting or self.running >= self.machine.max_seqs:
            return False
        first = self.waiting[0]
        return self.used + first.prompt + first.made + self.running < 0.99 * self.machine.cache

    def _steps_to_jump(self, until: float, seconds: float) -> int:
        next_end = self._ends[0][0] - self._steps
        to_full = (self.machine.cache - self.used) // max(1, self.running)
        return max(1, min(next_end, to_full, int((until - self.now) / seconds)))

    def _let_in(self) -> int:
        """Starts those that fit; how many tokens must be read for them."""
        read = 0
        while self.waiting_fits and read < self.machine.budget:
            sequence = self.waiting.popleft()
            tokens = sequence.prompt + sequence.made
            read += tokens
            self.used += tokens
            self.running += 1
            sequence.first_token = sequence.first_token or self.now
            sequence.ends = self._steps + sequence.output - sequence.made
            self._tie += 1
            heapq.heappush(self._ends, (sequence.ends, self._tie, sequence))
            self._stack.append(sequence)
        return read

    def _preempt(self) -> None:
        """The youngest goes back to the queue's head, and will be read again from its start."""
        sequence = self._stack.pop()
        while sequence.ends <= self._steps:
            sequence = self._stack.pop()
        sequence.made = sequence.output - (sequence.ends - self._steps)
        sequence.ends = 0
        sequence.preempted += 1
        self.used -= sequence.prompt + sequence.made
        self.running -= 1
        self.preemptions += 1
        self.waiting.appendleft(sequence)

    def _end(self, sequence: Sequence) -> None:
        sequence.ends = 0
        self.used -= sequence.prompt + sequence.output
        self.running -= 1
        if len(self._stack) > 4 * self.machine.max_seqs:
            self._stack = [each for each in self._stack if each.ends > self._steps]
        sequence.on_end(sequence, True)
