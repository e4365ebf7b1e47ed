"""Replies that stand in a failures file because only their verifier failed: tokens that were paid for.

Such a row holds the reply and the keys, not the prompt. So the prompts are read again from the run's own input, and the
reply by the run's own protocol: what comes of it is the rollout that the verifier's failure prevented.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from collector.errors import ReplyError
from collector.journal.keys import KeySet
from collector.prompts import repeat_rows, rows_of
from collector.protocols import get_protocol
from collector.protocols.replies import read_object
from collector.protocols.responses import read_response
from collector.records.rollouts import Attempt, encode_rollout
from collector.records.rows import Reply, Task, Verdict
from collector.reverify.origin import Origin
from collector.reverify.sources import Snapshot, Sources

__all__ = ["Leftover", "Leftovers"]


@dataclass(frozen=True, slots=True)
class Leftover:
    """A reply without a verdict, and the task it answers. (A `collector.reverify.candidates.Candidate`.)"""

    task: Task
    reply: Reply
    attempt: Attempt

    @property
    def endpoint(self) -> str:
        return self.attempt.endpoint

    def answer(self) -> Reply:
        return self.reply

    def scored(self, reply: Reply, verdict: Verdict) -> bytes:
        return encode_rollout(self.task, reply, verdict, self.attempt)


class _Failure(msgspec.Struct, gc=False):
    task: int = msgspec.field(name="_ng_task_index")
    rollout: int = msgspec.field(name="_ng_rollout_index")
    response: msgspec.Raw
    attempt: int = 1
    endpoint: str = ""


_read_failure = msgspec.json.Decoder(_Failure).decode


class Leftovers:
    """The replies in the failures file of `sources` whose rollouts stand nowhere else. Memory grows with their number
    alone: about 150 bytes each."""

    def __init__(self, sources: Sources, origin: Origin) -> None:
        self._snapshot = sources.failures
        self._origin = origin
        self._places: dict[tuple[int, int], tuple[int, int]] = {}
        self.unread = 0
        """Replies found that turned out to be none that their protocol reads."""

    def __len__(self) -> int:
        return len(self._places)

    def find(self, there: KeySet, limit: int | None) -> None:
        """Looks for them, with `there` the rollouts that the other files hold. Of several replies to one task the
        last is taken."""
        for place, failure in _failures(self._snapshot) if self._snapshot else ():
            key = failure.task, failure.rollout
            known = key in there or not 0 <= failure.rollout < there.num_repeats
            if not known and (limit is None or failure.task < limit):
                self._places[key] = place

    def read(self) -> Iterator[Leftover]:
        """Each of them, in the order of their tasks. A reply that its protocol does not take is passed over: it was no
        rollout before."""
        settings = self._origin.settings
        assert settings is not None and self._snapshot is not None  # noqa: S101 - asked by `Origin.problem`
        protocol = get_protocol(settings.protocol)
        sends_seed = protocol.sends_seed if settings.send_seed is None else settings.send_seed
        tasks = repeat_rows(
            rows_of(settings), settings, sends_seed=sends_seed, skip=lambda key: key not in self._places
        )
        for task in tasks:
            failure = _read_failure(self._snapshot.line_at(*self._places[task.key]))
            body = bytes(failure.response)
            try:
                reply = _agents_reply(body) if protocol.name == "agent" else protocol.parse(body)
            except ReplyError:
                self.unread += 1
                continue
            # How long it took is not on record.
            yield Leftover(task, reply, Attempt(failure.attempt, failure.endpoint, 0.0, 0.0))


class _AgentsRow(msgspec.Struct, gc=False):
    response: msgspec.Raw = msgspec.Raw(b"")


_read_agents_row = msgspec.json.Decoder(_AgentsRow).decode


def _agents_reply(body: bytes) -> Reply:
    """The reply in an agent's response, or in its whole row, which a failure keeps where its own reward was none."""
    inner = bytes(_read_agents_row(body).response)
    if inner.startswith(b"{"):
        body = inner
    return read_response(read_object(body), body)


def _failures(snapshot: Snapshot) -> Iterator[tuple[tuple[int, int], _Failure]]:
    """((offset, length), failure) for each row of a failures file that holds a reply."""
    for line in snapshot.lines():
        try:
            failure = _read_failure(line.raw)
        except msgspec.DecodeError:
            continue  # no reply in it, or not ours
        if bytes(failure.response)[:1] == b"{":
            yield (line.offset, len(line.raw)), failure
