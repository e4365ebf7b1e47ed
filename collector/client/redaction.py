"""Credentials taken out of what a server sent, by value: servers do echo keys, and a reply becomes a row."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

__all__ = ["REDACTED", "Redactor"]

REDACTED = "[redacted]"
_SHORTEST_SECRET = 4
"""A shorter key ("x", "no") is a placeholder, and would black out ordinary words."""


class Redactor:
    """Takes secrets out of texts and bodies. Where there is none in it, a body costs one search for each secret."""

    def __init__(self, secrets: Iterable[str]) -> None:
        spelled = {spelling for secret in secrets if len(secret) >= _SHORTEST_SECRET for spelling in _spellings(secret)}
        # The longest first, so that none is a piece of another when it is taken out.
        self._secrets = sorted(spelled, key=lambda secret: (-len(secret), secret))
        self._encoded = [secret.encode() for secret in self._secrets]

    def text(self, text: str) -> str:
        """`text` without the secrets."""
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        return text

    def body(self, body: bytes) -> bytes:
        """`body` without the secrets; the same object where there is none."""
        for secret in self._encoded:
            if secret in body:
                body = body.replace(secret, REDACTED.encode())
        return body


def _spellings(secret: str) -> set[str]:
    """As it is, and as JSON may write it: with quotes and backslashes escaped, and by some with slashes escaped."""
    escaped = orjson.dumps(secret).decode()[1:-1]
    return {secret, escaped, escaped.replace("/", "\\/")}
