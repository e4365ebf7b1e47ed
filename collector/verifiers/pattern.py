"""`regex`: a pattern, the same for every row or each row's own, matches in the reply.

A backtracking engine can take for ever on a bad pattern and a hostile text, and cannot be interrupted from outside.
So matching is done by the `regex` package, which keeps `re`'s syntax and stops itself when its time is up.
docs/verifiers.md has the measurements behind that choice.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import anyio

from collector.errors import VerifierError, VerifierSetupError
from collector.protocols.server_text import one_line
from collector.records.rows import PromptRow, Reply, Task, Verdict
from collector.settings import CollectSettings
from collector.verifiers.base import BaseVerifier
from collector.verifiers.fields import bad_field, find_field, kind_of, problem_in
from collector.verifiers.spec import read_parameters

__all__ = ["RegexVerifier", "build_regex"]

_INLINE_SECONDS = 0.01
"""How long a match may hold the event loop. Nearly all take microseconds; the others move to a thread."""


class RegexVerifier(BaseVerifier):
    """1 when the pattern is found in the reply (or matches all of it, when `whole`), else 0.

    `pattern` serves every row; without one each row brings its own under `field`. A match that takes longer than
    `timeout` seconds is a failure: whether it would have matched is not known.
    """

    name = "regex"
    waits = False

    def __init__(
        self,
        pattern: str | None = None,
        *,
        field: str = "pattern",
        ignore_case: bool = False,
        whole: bool = False,
        timeout: float = 2.0,
    ) -> None:
        engine = _engine()
        flags = engine.IGNORECASE if ignore_case else 0
        self._field = field
        self._error: type[Exception] = engine.error
        # Not the package's own cache: it holds 500 patterns and reads its arguments anew at each call.
        self._compile = functools.lru_cache(maxsize=1024)(functools.partial(engine.compile, flags=flags))
        self._method = "fullmatch" if whole else "search"
        self._timeout = timeout
        self._pattern = None if pattern is None else self._compile_given(pattern)

    async def verify(self, task: Task, reply: Reply) -> Verdict:
        """Raises VerifierError when the row lacks its pattern, the pattern is bad, or the match runs out of time."""
        match = getattr(self._pattern or self._compile_row(task.row), self._method)
        try:
            try:
                found = match(reply.text, timeout=min(_INLINE_SECONDS, self._timeout))
            except TimeoutError:
                slow = functools.partial(match, reply.text, timeout=self._timeout, concurrent=True)
                found = await anyio.to_thread.run_sync(slow)
        except TimeoutError:
            raise VerifierError(
                f"line {task.row.line}: the pattern was still matching after {self._timeout:g} seconds on a reply of"
                f" {len(reply.text)} characters: write it without nested repeats",
                failure_class="verifier_timeout",
            ) from None
        return Verdict(float(found is not None))

    def check(self, row: PromptRow) -> str | None:
        return problem_in(row, self._compile_row) if self._pattern is None else None

    def _compile_given(self, pattern: str) -> Any:
        try:
            return self._compile(pattern)
        except self._error as error:
            raise VerifierSetupError(f"--verifier regex: pattern={pattern}: {one_line(str(error))}") from None

    def _compile_row(self, row: PromptRow) -> Any:
        pattern = find_field(row, self._field, instead="pattern=...")
        if not isinstance(pattern, str):
            raise bad_field(row, self._field, f"is {kind_of(pattern)}; a pattern is needed")
        try:
            return self._compile(pattern)
        except self._error as error:
            raise bad_field(row, self._field, f"is no pattern: {one_line(str(error))}") from None


def build_regex(rest: str, settings: CollectSettings) -> RegexVerifier:
    """From `regex[:field=...,ignore_case=...,match=search|fullmatch,timeout=...,pattern=...]`.

    Raises VerifierSetupError.
    """
    given = read_parameters("regex", rest, ("field", "ignore_case", "match", "timeout"), last="pattern")
    if given.given("field") and given.given("pattern"):
        raise VerifierSetupError("--verifier regex: give pattern, or the field that holds each row's own, not both")
    return RegexVerifier(
        given.text("pattern", "") if given.given("pattern") else None,
        field=given.text("field", "pattern"),
        ignore_case=given.flag("ignore_case", False),
        whole=given.choice("match", ("search", "fullmatch")) == "fullmatch",
        timeout=given.seconds("timeout", 2.0),
    )


def _engine() -> Any:
    """The `regex` package, loaded when it is asked for: few runs need it."""
    try:
        return importlib.import_module("regex")
    except ImportError:
        raise VerifierSetupError("--verifier regex needs the package `regex`: pip install regex") from None
