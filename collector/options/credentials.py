"""Keys and headers: credentials come from the environment or a file, never from the command line."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from collector.errors import UsageError

__all__ = ["api_key", "headers", "is_credential", "is_key", "key_in"]

_CREDENTIAL = re.compile(r"auth|api[-_]?key|token|secret|cookie|passw|credential|jwt|(^|[-_])key$", re.IGNORECASE)
_CREDENTIAL_VALUE = re.compile(r"(bearer|basic)\s", re.IGNORECASE)
_KEY = re.compile(
    r"(api|access|auth|bearer|secret)?[-_]?(key|token|secret|password|passwd)|authorization", re.IGNORECASE
)
_INNER_KEY = re.compile(
    r"(api|access|auth|bearer|secret)[-_]?(key|token|secret)|secret|password|passwd|authorization", re.IGNORECASE
)
"""Deeper in a body `key` and `token` are common words (a filter's field, a piece of text)."""
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_OURS = frozenset({"connection", "content-length", "content-type", "transfer-encoding"})


def is_credential(name: str) -> bool:
    """Whether a header of that name holds what no command line and no shared file should show."""
    return _CREDENTIAL.search(name) is not None


def is_key(name: str) -> bool:
    """Whether a setting or a request's field of that name is a credential itself (`max_tokens` is none)."""
    return _KEY.fullmatch(name) is not None


def key_in(fields: Mapping[str, Any]) -> str | None:
    """The name of a credential among a request's fields, at any depth; None when there is none. A schema that only
    speaks of a password holds no text under that name."""
    found = next(filter(is_key, fields), None)
    rest: list[Any] = list(fields.values())
    while found is None and rest:
        value = rest.pop()
        if isinstance(value, dict):
            found = next((name for name, inner in value.items() if isinstance(inner, str) and _is_inner(name)), None)
            rest += value.values()
        elif isinstance(value, list):
            rest += value
    return found


def _is_inner(name: object) -> bool:
    return isinstance(name, str) and _INNER_KEY.fullmatch(name) is not None


def api_key(variable: str | None, file: Path | None) -> str | None:
    """The key that --api-key-env or --api-key-file leads to. Raises UsageError when it leads nowhere."""
    if variable and file:
        raise UsageError("--api-key-env and --api-key-file: give one")
    if variable:
        return _from_environment(variable, "--api-key-env")
    if not file:
        return None
    try:
        key = file.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise UsageError(f"--api-key-file {file}: is no UTF-8 text") from None
    except OSError as error:
        # A path that leads nowhere is not shown: some give the key itself here.
        shown = "(not shown)" if error.errno in (errno.ENOENT, errno.ENAMETOOLONG) else file
        raise UsageError(f"--api-key-file {shown}: cannot be read: {error.strerror}") from None
    if not key:
        raise UsageError(f"--api-key-file {file}: holds no key")
    return key


def headers(plain: Sequence[str], from_environment: Sequence[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """(headers, secrets) of --header and --header-env. A secret is a value from the environment, and the last word of
    one that has several (`Bearer ...`)."""
    shown = dict(_plain_header(text) for text in plain)
    sent = dict(shown)
    secrets: list[str] = []
    for text in from_environment:
        name, variable = _split(text, "--header-env", "VAR")
        if name in shown:
            raise UsageError(f"--header {name} and --header-env {name}: give one")
        sent[name] = value = _from_environment(variable, f"--header-env {name}")
        secrets += dict.fromkeys((value, value.rpartition(" ")[2]))
        _check_value(value, f"--header-env {name}")
    return sent, tuple(secrets)


def _plain_header(text: str) -> tuple[str, str]:
    name, value = _split(text, "--header", "VALUE")
    if is_credential(name) or _CREDENTIAL_VALUE.match(value):
        raise UsageError(
            f"--header {name}: a credential has no place on a command line or in a file of settings: put it into an"
            f" environment variable and give --header-env {name}=VARIABLE"
        )
    _check_value(value, f"--header {name}")
    return name, value


def _split(text: str, flag: str, what: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    name = name.strip().lower()
    if not equals or not _HEADER_NAME.fullmatch(name):
        # Not the text itself: what was written wrongly may be a key.
        raise UsageError(f"{flag}: write NAME={what}, for example {flag} X-Request-Source={what.lower()}")
    if name in _OURS:
        raise UsageError(f"{flag} {name}: the collector sets this itself")
    return name, value.strip()


def _check_value(value: str, where: str) -> None:
    if not value.isascii() or not value.isprintable():
        raise UsageError(f"{where}: the value holds a character that HTTP cannot carry (a line break?)")


def _from_environment(variable: str, flag: str) -> str:
    value = os.environ.get(variable, "").strip()
    if not value:
        # Shown only when it looks like a variable: some give the key itself here.
        named = variable if _VARIABLE.fullmatch(variable) else "(not shown)"
        raise UsageError(f"{flag} {named}: no environment variable of that name is set")
    return value
