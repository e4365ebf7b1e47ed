"""URLs of servers: whether requests can go to one, and what of it may stand in rows and messages."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from collector.terminal import plain

__all__ = ["bare_url", "shown_url", "url_problem"]


def shown_url(url: str) -> str:
    """`url` fit for rows and messages: without user, password and query, and without a slash at its end."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


def url_problem(url: str) -> str | None:
    """Why requests cannot go to `url`, or None."""
    if not url.isprintable() or " " in url:
        return "a space or line break stands in it"
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
            return "it is no http URL"
    except ValueError as error:
        return str(error)
    if "@" in parts.path:
        return "an @ stands in its path (in a password write @ as %40 and / as %2F)"
    return "a query or fragment cannot be kept" if parts.query or parts.fragment else None


def bare_url(url: str) -> str:
    """What may be shown of any text that was given as a URL: nothing in front of an @, no query, no fragment."""
    scheme, slashes, rest = url.partition("//") if "//" in url else ("", "", url)
    return plain(scheme + slashes + re.split(r"[?#]", rest.rpartition("@")[2])[0])
