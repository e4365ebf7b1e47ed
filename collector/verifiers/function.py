"""`python:MODULE:FUNCTION` and `python:./file.py:FUNCTION`: a user's own function scores the replies.

    def score(row, text): ...            # or score(row, text, reply); async def works too

`row` is the source row as a dict (a copy at its top level), `text` the reply's final text, `reply` the parsed reply.
It returns a number, a bool, {"reward": ..., "components": {...}, ...}, or a Verdict. A `def` runs in a thread, an
`async def` on the event loop.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import anyio

from collector.errors import VerifierError, VerifierSetupError
from collector.protocols.server_text import one_line
from collector.records.rows import Reply, Task, Verdict
from collector.settings import CollectSettings
from collector.verifiers.base import BaseVerifier
from collector.verifiers.spec import read_parameters
from collector.verifiers.threads import DaemonThreads, OutOfTimeError
from collector.verifiers.verdicts import verdict_from_value

__all__ = ["FunctionVerifier", "build_function"]

_HOW = "give python:MODULE:FUNCTION or python:./FILE.py:FUNCTION"
_MOST_THREADS = 1024
ScoreFunction = Callable[..., Any]


class FunctionVerifier(BaseVerifier):
    """Calls `function(row, text)`, with `reply=` when it has a parameter of that name.

    `timeout` (seconds) bounds one call; `threads` bounds the calls of a `def` at once. `name` is for messages.
    """

    def __init__(self, function: ScoreFunction, *, name: str = "python", timeout: float, threads: int = 8) -> None:
        self.name = name
        self._function = function
        self._wants_reply = _wants_reply(function, name)
        self._is_async = _is_async(function)
        self._timeout = timeout
        self._threads = DaemonThreads(threads)
        self.code_digest = _digest_of(function)

    async def verify(self, task: Task, reply: Reply) -> Verdict:
        """Raises VerifierError when the function raises, takes too long, or returns no finite number."""
        extra = {"reply": reply} if self._wants_reply else {}
        call = functools.partial(self._function, dict(task.row.fields), reply.text, **extra)
        try:
            return verdict_from_value(await self._call(call))
        except VerifierError as error:
            message = one_line(f"{self.name}: {error}")
            raise VerifierError(message, failure_class=error.failure_class, retryable=error.retryable) from error
        except OutOfTimeError as error:
            raise VerifierError(f"{self.name}: {error}", failure_class="verifier_timeout") from error
        except (Exception, SystemExit) as error:
            raise VerifierError(one_line(f"{self.name} raised {type(error).__name__}: {_said(error)}")) from error

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._threads.close()

    async def _call(self, call: Callable[[], Any]) -> Any:
        if self._is_async:
            return await self._in_time(call())
        result = await self._threads.call(call, self._timeout)
        # A `def` may hand back a coroutine: lambdas and decorators do.
        return await self._in_time(result) if inspect.isawaitable(result) else result

    async def _in_time(self, result: Awaitable[Any]) -> Any:
        value = None
        with anyio.move_on_after(self._timeout) as scope:
            value = await result
        if scope.cancelled_caught:
            raise OutOfTimeError(f"no answer in {self._timeout:g} seconds")
        return value


def _said(error: BaseException) -> str:
    """The error's text; a user's own exception may fail even to say that."""
    try:
        return str(error)
    except Exception:
        return "(an error without a text)"


def build_function(rest: str, settings: CollectSettings) -> FunctionVerifier:
    """From `python:[threads=N,timeout=S,]TARGET`. Raises VerifierSetupError with the cause when it cannot be loaded."""
    given = read_parameters("python", rest, ("threads", "timeout"), last="function", bare=True)
    target = given.text("function", "")
    threads = given.count("threads", 8, most=_MOST_THREADS)
    return FunctionVerifier(
        _load(target),
        name=f"python:{target}",
        timeout=given.seconds("timeout", settings.timeouts.total),
        threads=threads,
    )


def _load(target: str) -> ScoreFunction:
    where, _, name = target.rpartition(":")
    if not where or not name:
        raise VerifierSetupError(f"--verifier python:{target}: {_HOW}")
    try:
        module = _load_file(Path(where)) if where.endswith(".py") else _load_module(where)
    except (Exception, SystemExit) as error:
        cause = one_line(f"{type(error).__name__}: {error}")
        raise VerifierSetupError(f"--verifier python:{target}: cannot import {where}: {cause}") from error
    function: Any = module
    for attribute in name.split("."):
        function = getattr(function, attribute, None)
    if not callable(function):
        what = "has no function" if function is None else "is no function:"
        raise VerifierSetupError(f"--verifier python:{target}: {where} {what} {name!r}")
    loaded: ScoreFunction = function
    return loaded


def _load_module(name: str) -> ModuleType:
    # The console script's own folder is on the path, not the user's. Last, so that no file of theirs hides a package.
    _offer(Path.cwd())
    return importlib.import_module(name)


def _load_file(path: Path) -> ModuleType:
    path = path.expanduser().resolve()
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    _offer(path.parent)
    name = f"pairmill_verifier_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"not a Python file: {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and typing look their module up there
    spec.loader.exec_module(module)
    return module


def _offer(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _is_async(function: ScoreFunction) -> bool:
    """For functions, and for objects whose `__call__` is one."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _wants_reply(function: ScoreFunction, name: str) -> bool:
    """Whether it has a parameter `reply`. Raises VerifierSetupError when it cannot be called with (row, text)."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return False  # written in C, its signature unknown
    wants_reply = "reply" in signature.parameters
    try:
        signature.bind({}, "", **({"reply": None} if wants_reply else {}))
    except TypeError as error:
        raise VerifierSetupError(
            f"--verifier {name}: it takes {signature}, {error}: write def score(row, text) or (row, text, reply)"
        ) from None
    return wants_reply


def _digest_of(function: ScoreFunction) -> str | None:
    """SHA-256 of the file that the function stands in; None where there is no such file."""
    try:
        source = inspect.getsourcefile(inspect.unwrap(function))
        return None if source is None else hashlib.sha256(Path(source).read_bytes()).hexdigest()
    except (OSError, TypeError, ValueError):
        return None
