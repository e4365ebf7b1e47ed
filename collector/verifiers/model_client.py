"""A model server that a verifier asks: its own key, its own parallelism, and every fault a VerifierError.

The requests go through the client that the collector uses for the model itself (`collector.client.ModelClient`), set
up for this server: nothing of the run's own endpoint, its key and its headers least of all, is sent here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import orjson

from collector.client import ModelClient
from collector.errors import ReplyError, RequestError, ServerError, VerifierError, VerifierSetupError
from collector.protocols.server_text import one_line
from collector.records.rows import JsonObject
from collector.settings import CollectSettings, Timeouts
from collector.verifiers.spec import Parameters

__all__ = ["SERVER_PARAMETERS", "ModelServer", "ServerPlace", "server_place", "verifier_error"]

SERVER_PARAMETERS = ("url", "model", "parallel", "timeout", "api_key_env")
"""What every specification of such a server may say."""

_SHOWN = 8


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """Where a verifier's server is and how it is asked, as its specification says. `seconds` bound one request,
    `parallel` the requests in flight; `model` is None when the server's only one is meant."""

    verifier: str
    url: str
    model: str | None
    parallel: int
    seconds: float
    api_key: str | None
    key_variable: str | None

    def __repr__(self) -> str:
        return f"ServerPlace({self.verifier!r}, {self.url!r}, model={self.model!r})"  # never the key


def server_place(given: Parameters, settings: CollectSettings, environ: Mapping[str, str] = os.environ) -> ServerPlace:
    """The place that SERVER_PARAMETERS describe. Raises VerifierSetupError."""
    variable = given.text("api_key_env", "") or None
    if variable is not None and not environ.get(variable):
        raise given.error("api_key_env", "there is no such environment variable, or it is empty")
    return ServerPlace(
        verifier=given.verifier,
        url=_url(given),
        model=given.text("model", "") or None,
        parallel=given.count("parallel", 8),
        seconds=given.seconds("timeout", settings.timeouts.total),
        api_key=None if variable is None else environ[variable].strip(),
        key_variable=variable,
    )


class ModelServer:
    """Requests to one server of a verifier, at most `place.parallel` at once: the others wait their turn, in order.

    `models_path` is where it lists its models, below `place.url`. Enter it before the first request.
    """

    def __init__(self, place: ServerPlace, settings: CollectSettings, *, models_path: str = "/models") -> None:
        self.model = place.model or ""
        self._place = place
        self._models_path = models_path
        self._slots = asyncio.Semaphore(place.parallel)
        self._settings = _settings_for(place, settings)
        self._client: ModelClient | None = None

    async def __aenter__(self) -> Self:
        """Raises ServerError when the server cannot serve this run: away, another key wanted, no such model."""
        self._client = client = ModelClient(self._settings)
        await client.__aenter__()
        try:
            self.model = self._choose(await self._model_names(client))
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.__aexit__(exc_type, exc, traceback)
            self._client = None

    async def post(self, path: str, body: JsonObject) -> bytes:
        """The answer's body when its status is 2xx. Raises VerifierError: retryable for lost connections, timeouts and
        busy servers, of the class VERIFIER_CONNECT when nothing answers."""
        assert self._client is not None, "enter the server first"  # noqa: S101 - a caller's mistake, not the user's
        try:
            data = orjson.dumps(body)
        except TypeError as error:
            message = f"the request cannot be written as JSON: {error}"
            raise VerifierError(message, failure_class="bad_field") from None
        async with self._slots:
            try:
                return await self._client.send(path, data)
            except RequestError as error:
                raise verifier_error(error) from None

    async def _model_names(self, client: ModelClient) -> list[str] | None:
        """The models that the server lists; None when it lists none that can be read."""
        try:
            listing = await client.get_json(self._models_path)
        except ReplyError:
            return None
        except RequestError as error:
            if error.status is None:
                raise self._refusal(f"{_own_words(error)}: start it first, or see its URL") from None
            if error.status in (401, 403):
                raise self._refusal(f"{error}; {self._key_advice()}") from None
            if error.status >= 500 and error.status != 501:
                raise self._refusal(f"{error}; it is up but not ready: try again, or see its log") from None
            return None
        entries = listing.get("data") if isinstance(listing, dict) else None
        if not isinstance(entries, list):
            return None
        return [entry["id"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)]

    def _choose(self, names: list[str] | None) -> str:
        wanted = self._place.model
        if names is None:
            if wanted is None:
                advice = f"see its URL{self._hint}, or name one with model="
                raise self._refusal(f"{self._place.url} lists no models: {advice}")
            return wanted
        if wanted is not None and (wanted in names or f"{wanted}:latest" in names):
            return wanted
        if wanted is None and len(names) == 1:
            return names[0]
        shown = ", ".join(one_line(name, 100) for name in names[:_SHOWN]) or "none"
        if wanted is None:
            raise self._refusal(f"{self._place.url} has several models, or none: name one with model= ({shown})")
        raise self._refusal(f"model={wanted} is not served at {self._place.url}; it has: {shown}")

    @property
    def _hint(self) -> str:
        return " (it ends with /v1)" if self._models_path == "/models" and not self._place.url.endswith("/v1") else ""

    def _key_advice(self) -> str:
        if self._place.key_variable:
            return f"the key in {self._place.key_variable} was refused"
        return "give its key with api_key_env=NAME, the environment variable that holds it"

    def _refusal(self, problem: str) -> ServerError:
        return ServerError(f"--verifier {self._place.verifier}: {problem}")


def verifier_error(error: RequestError) -> VerifierError:
    """The same fault on the verifier's side. `verifier_timeout`, `verifier_http_503`: its classes, told apart."""
    return VerifierError(_own_words(error), failure_class=f"verifier_{error.failure_class}", retryable=error.retryable)


def _own_words(error: RequestError) -> str:
    """Without the flags of the model's own endpoint: they are not this server's."""
    return str(error).replace(" (--request-timeout)", " (timeout=)").replace(" (--connect-timeout)", "")


def _settings_for(place: ServerPlace, settings: CollectSettings) -> CollectSettings:
    """The run's settings with this server in the place of its endpoint."""
    changes: dict[str, Any] = {
        "protocol": "chat",
        "base_url": place.url,
        "replica_urls": (),
        "agent_urls": {},
        "endpoint_name": None,
        "timeouts": Timeouts(connect=settings.timeouts.connect, total=place.seconds),
        "api_key": place.api_key,
        "headers": {},
    }
    return replace(settings, **changes)


def _url(given: Parameters) -> str:
    url = given.text("url", "").rstrip("/")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        usable = usable and url.isprintable() and " " not in url and not (parts.query or parts.fragment)
    except ValueError:
        usable = False
    if not usable:
        raise given.error("url", f"give the server's URL, as in {given.verifier}:url=http://127.0.0.1:8001/v1")
    if parts.username or parts.password:
        # Said without the value: this is a credential.
        raise VerifierSetupError(
            f"--verifier {given.verifier}: the URL holds a user or password: leave it out, and give the key with"
            " api_key_env="
        )
    return url
