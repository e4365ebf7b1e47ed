"""ModelClient: one request out, its whole body back. Every fault becomes a RequestError here; retrying is the caller's.

Requests go straight through the transport (`carriers`): `httpx.AsyncClient.post` alone costs more than all the rest of
a request. Not covered here: when to try again (`retry`), and what the body means (`protocols`).
"""

from __future__ import annotations

import re
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import httpx
import orjson

from collector.client.carriers import Carrier, make_carrier
from collector.client.faults import status_error, too_large, transport_error
from collector.client.redaction import Redactor
from collector.client.transport import build_transport
from collector.errors import ReplyError, UsageError
from collector.protocols.server_text import one_line
from collector.settings import CollectSettings, shown_url

__all__ = ["ModelClient", "credentials_of", "request_headers"]

_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "api-key", "x-api-key", "cookie"})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FAULTS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ValueError)
"""What a transport may raise; a bare ValueError is some transports' word for a host name that is none."""


class ModelClient:
    """Sends requests to one endpoint. Use it as an async context manager; it closes its transport at the end.

    Safe for any number of concurrent sends: it has no limit of its own. The API key, and any other credential in the
    headers, is taken out of everything that comes back, replies included, should a server echo it.
    """

    def __init__(self, settings: CollectSettings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """Raises UsageError when a header or the key holds what HTTP cannot carry."""
        self.where = shown_url(settings.base_url)
        """The endpoint's URL, fit for messages: no user, password or query in it."""
        self._timeout = settings.timeouts.total
        self._max_bytes = settings.max_reply_bytes
        self._redactor = Redactor(credentials_of(settings))
        headers = request_headers(settings)
        self._transport = transport or build_transport(settings)
        base = settings.base_url.rstrip("/")
        self._carrier = make_carrier(self._transport, base, headers, settings.max_reply_bytes)
        root = base.removesuffix("/v1")
        self._root_carrier = make_carrier(self._transport, root, headers, settings.max_reply_bytes)

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(self, *exc_info: Any) -> None:
        await self._transport.__aexit__(*exc_info)

    @property
    def stale_retries(self) -> int:
        """How often a reused connection turned out dead and its request was sent again, at no attempt's cost."""
        return self._carrier.stale_retries

    async def send(self, path: str, body: bytes) -> bytes:
        """POST one JSON body to `path` below the base URL: one attempt. The reply's body when its status is 2xx.

        A reused connection that is cut without one byte back was stale: the request is sent again immediately, and
        that counts as no attempt. Raises RequestError for everything else; see `faults` for its classes. A send that
        is cancelled, or runs out of time, closes its connection at once.
        """
        return await self._exchange("POST", path, body, self._timeout)

    async def get_json(self, path: str, *, within: float = 30.0) -> Any:
        """GET `path` below the base URL and parse it, in at most `within` seconds. Raises RequestError, and ReplyError
        for what is no JSON."""
        body = await self._exchange("GET", path, None, min(within, self._timeout))
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            seen = one_line(body[:2000].decode("utf-8", "replace"), 80)
            raise ReplyError(f"{self.where}{path}: not JSON: {seen!r}", failure_class="not_json") from error

    async def get_text(self, path: str, *, within: float = 30.0) -> str:
        """GET `path` below the server's root (the base URL without its `/v1`) as text, in at most `within` seconds.
        Bytes that are no UTF-8 are replaced. Raises RequestError."""
        seconds = min(within, self._timeout)
        body = await self._exchange("GET", path, None, seconds, self._root_carrier)
        return body.decode("utf-8", "replace")

    def redact(self, text: str) -> str:
        """`text` without the API key and the other credentials of this run."""
        return self._redactor.text(text)

    async def _exchange(
        self, method: str, path: str, body: bytes | None, seconds: float, carrier: Carrier | None = None
    ) -> bytes:
        """One request and its whole reply, within `seconds`."""
        try:
            reply = await (carrier or self._carrier).exchange(method, path, body, seconds)
        except _FAULTS as error:
            raise transport_error(error, self.where, seconds, self.redact) from None
        status = reply.status
        if not 200 <= status < 300:
            raise status_error(status, httpx.Headers(reply.headers), reply.body, self.where, self.redact)
        if not reply.whole:
            raise too_large(self.where, self._max_bytes, status)
        return self._redactor.body(reply.body)


def request_headers(settings: CollectSettings) -> httpx.Headers:
    """The headers of every request; those of the settings win over ours."""
    headers = {"content-type": "application/json", "accept": "application/json", "user-agent": "pairmill"}
    if settings.api_key:
        headers["authorization"] = f"Bearer {settings.api_key}"
    headers.update({name.lower(): value for name, value in settings.headers.items()})
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise UsageError(f"header {one_line(name, 60)!r}: no name that HTTP knows (letters, digits, - and _)")
        if not value.isascii() or not value.isprintable():
            raise UsageError(f"header {name}: its value holds a character that HTTP cannot carry (a line break?)")
    return httpx.Headers(headers)


def credentials_of(settings: CollectSettings) -> set[str]:
    """Every credential of this run."""
    given = {settings.api_key or "", unquote(urlsplit(settings.base_url).password or ""), *settings.secrets}
    for name, value in settings.headers.items():
        if name.lower() in _SECRET_HEADERS:
            given.update({value, value.rpartition(" ")[2]})
    return given
