"""What a protocol is: how a task becomes a request, and a server's reply a Reply."""

from __future__ import annotations

import typing

from collector.records.rows import Reply, Task
from collector.settings import CollectSettings

__all__ = ["Protocol"]


class Protocol(typing.Protocol):
    """One way of asking a server for a rollout. Stateless: one instance serves every run."""

    name: str
    path: str
    """Where requests go, below the base URL."""
    sends_seed: bool
    """Whether tasks carry a seed unless the settings say otherwise."""
    several: bool
    """Whether one request can ask for more than one sample."""

    def build(self, task: Task, settings: CollectSettings, samples: int = 1) -> bytes:
        """The JSON body of the request. `samples` above 1 asks for so many with one request (`n`), from the task's
        seed on. The settings' `extra_body` goes in last and wins. Raises RequestError, not retryable, for a prompt
        that this protocol cannot carry."""

    def parse(self, body: bytes) -> Reply:
        """The Reply in a 200's body. Raises ReplyError with failure_class not_json, error_body, empty_choices or
        wrong_shape. Output that is only reasoning or tool calls is no error; `flags` name it."""

    def parse_samples(self, body: bytes) -> list[Reply]:
        """One Reply for each sample in a 200's body, at least one, in the order of their indices. Each has `raw` with
        that sample alone, and `samples`: how many the server sent, which is not always what was asked for. Raises as
        `parse` does."""
