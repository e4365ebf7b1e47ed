"""The errors of Pairmill, one tree. Every message is one line that says what is wrong, where, and what to do.

PairmillError                 anything that ends a command with one line; `exit_code` says how
├── UsageError                exit 2: an unknown option, a value out of range, settings that contradict each other
├── InputError                exit 1: a prompt row or rollout line that cannot be read (names file:line)
├── OutputError               exit 1: a path that cannot be written, exists already, or is locked by another run
├── StreamError               exit 1: a journal damaged in the middle (names file and byte offset)
├── ResumeError               exit 1: --resume with other settings or another input (carries the differences)
├── ServerError               exit 1: the server cannot be used at all: unreachable, 401, unknown model
└── VerifierSetupError        exit 2: a verifier that cannot be built from its specification

RolloutError                  one attempt at one rollout failed; becomes a row of the failures file, never ends a run
├── RequestError              no usable HTTP reply: connection, timeout, status (carries retryable, retry_after)
├── ReplyError                a reply that is no rollout: not JSON, truncated, no choices
└── VerifierError             the verifier raised, or gave no finite reward
"""

from __future__ import annotations

__all__ = [
    "EXIT_INTERRUPTED",
    "EXIT_PARTIAL",
    "VERIFIER_CONNECT",
    "InputError",
    "OutputError",
    "PairmillError",
    "ReplyError",
    "RequestError",
    "ResumeError",
    "RolloutError",
    "ServerError",
    "StreamError",
    "UsageError",
    "VerifierError",
    "VerifierSetupError",
]


EXIT_PARTIAL = 3
"""The exit code of a command that finished, but with failures, without a pair, or with something found wrong."""
EXIT_INTERRUPTED = 130


class PairmillError(Exception):
    """Ends a command with one line on stderr, the text of the exception, and `exit_code`."""

    exit_code = 1


class UsageError(PairmillError):
    """What was asked cannot be done as asked: names the flag, the value and what is accepted."""

    exit_code = 2


class InputError(PairmillError):
    """An input that cannot be read: names the file, the line (1-based) and what is wrong with it."""


class OutputError(PairmillError):
    """An output path that cannot be written, or that holds something we would destroy."""


class StreamError(PairmillError):
    """A rollouts file damaged anywhere but in its last line: names the file and the byte offset."""


class ResumeError(PairmillError):
    """The run on disk was made with other settings or another input: lists each difference."""


class ServerError(PairmillError):
    """The endpoint cannot serve this run at all: unreachable, not authorised, unknown model."""


class VerifierSetupError(UsageError):
    """A verifier specification that names nothing that exists, or lacks a parameter."""


class RolloutError(Exception):
    """One attempt at one rollout failed. `failure_class` is a stable short name for counting; `reply` is what came back
    all the same, as one line of JSON, where it is worth keeping."""

    failure_class = "error"
    retryable = False
    reply: bytes | None = None

    def __init__(self, message: str, *, failure_class: str | None = None) -> None:
        super().__init__(message)
        if failure_class is not None:
            self.failure_class = failure_class


class RequestError(RolloutError):
    """No usable HTTP reply.

    `status` is the HTTP status or None when none came; `retry_after` is in seconds, as the server asked;
    `connection` is True when the endpoint could not be reached at all (consecutive ones stop the run).
    """

    failure_class = "request"

    def __init__(
        self,
        message: str,
        *,
        failure_class: str,
        retryable: bool,
        status: int | None = None,
        retry_after: float | None = None,
        connection: bool = False,
    ) -> None:
        super().__init__(message, failure_class=failure_class)
        self.retryable = retryable
        self.status = status
        self.retry_after = retry_after
        self.connection = connection


class ReplyError(RolloutError):
    """The server answered 200 with something that is no rollout. Retried: servers and proxies do this under load."""

    failure_class = "bad_reply"
    retryable = True


VERIFIER_CONNECT = "verifier_connect"
"""The failure class of a verifier whose server cannot be reached."""


class VerifierError(RolloutError):
    """The verifier raised or gave no finite number: the row becomes a failure, never a reward of zero.

    `retryable` is True only where the fault may pass (an HTTP verifier that did not answer).
    """

    failure_class = "verifier"

    def __init__(self, message: str, *, failure_class: str | None = None, retryable: bool = False) -> None:
        super().__init__(message, failure_class=failure_class)
        self.retryable = retryable
