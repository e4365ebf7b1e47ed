"""Before the first request: is the endpoint there, does it let us in, and does it serve the model?"""

from __future__ import annotations

import difflib
from typing import Any

from collector.client.client import ModelClient
from collector.errors import ReplyError, RequestError, ServerError
from collector.protocols.base import Protocol
from collector.protocols.server_text import one_line
from collector.settings import CollectSettings

__all__ = ["NotReadyError", "UnreachableError", "check_endpoint"]

_SHOWN = 20
"""Model names in one message."""


class UnreachableError(ServerError):
    """The endpoint is not there, or not ready yet: it may be so later."""


class NotReadyError(UnreachableError):
    """The endpoint answers, and with an error of its own (5xx)."""


async def check_endpoint(
    client: ModelClient, settings: CollectSettings, protocol: Protocol, *, within: float = 30.0
) -> str | None:
    """The model that the run will ask: the settings' when the server lists it, or the only one the server has.

    A server without a model list is taken at its word when a model was named. An agent has none: any HTTP answer shows
    that it is there, and the settings' model (or None) comes back. Raises ServerError with one line that says what is
    wrong and which flag mends it: UnreachableError when the endpoint gave no answer `within` seconds, NotReadyError,
    one of these, when it gave one that says that it is not ready.
    """
    if protocol.name == "agent":
        await _reach(client, "/", within)
        return settings.model
    if client.where.endswith(protocol.path):
        better = client.where.removesuffix(protocol.path)
        raise ServerError(f"{client.where}: {protocol.path} is added to each request; give --base-url {better}")
    listing = await _reach(client, "/models", within)
    if isinstance(listing, RequestError):
        _explain_refusal(listing, settings)
    names = _model_names(listing)
    if names is not None:
        return _choose(names, settings.model, client.where)
    await _hint_at_v1(client)
    if settings.model is None:
        raise ServerError(f"{client.where}: the server lists no models; name the one to ask with --model")
    return settings.model


async def _reach(client: ModelClient, path: str, within: float) -> Any:
    """The JSON at `path`, None when it is none, or the RequestError of a server that answered with no 2xx status.
    Raises UnreachableError when none answered."""
    try:
        return await client.get_json(path, within=within)
    except ReplyError:
        return None
    except RequestError as error:
        if error.status is None:
            raise UnreachableError(f"{error}; is the server running, and is its URL right?") from error
        return error


def _explain_refusal(error: RequestError, settings: CollectSettings) -> None:
    """Raises ServerError for an answer to GET /models that dooms the run. A list that is merely missing does not."""
    status = error.status or 0
    if status in (401, 403):
        raise ServerError(f"{error}; {_key_advice(settings)}")
    if 300 <= status < 400:
        raise ServerError(f"{error}: give the final address as --base-url")
    if status >= 500 and status != 501:
        raise NotReadyError(f"{error}; the server is up but not ready: try again, or see its log")


def _key_advice(settings: CollectSettings) -> str:
    if settings.api_key:
        return "the API key was refused: check the variable that --api-key-env names"
    return "give the key with --api-key-env NAME, the name of the environment variable that holds it"


async def _hint_at_v1(client: ModelClient) -> None:
    """Raises ServerError when the list stands one step below: the usual slip is a base URL without /v1."""
    if client.where.endswith("/v1"):
        return
    try:
        listing = await client.get_json("/v1/models")
    except (RequestError, ReplyError):
        return
    if _model_names(listing) is not None:
        raise ServerError(
            f"{client.where} lists no models, but {client.where}/v1 does: give --base-url {client.where}/v1"
        )


def _model_names(listing: Any) -> list[str] | None:
    """The names in a model list, or None when it is no such list."""
    entries = listing.get("data") if isinstance(listing, dict) else None
    if not isinstance(entries, list):
        return None
    return [entry["id"] for entry in entries if isinstance(entry, dict) and isinstance(entry.get("id"), str)]


def _choose(names: list[str], wanted: str | None, where: str) -> str:
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted is not None and (wanted in names or f"{wanted}:latest" in names):  # Ollama adds the tag itself
        return wanted
    if not names:
        raise ServerError(f"{where}: the server has no model loaded")
    shown = _shown(names, wanted)
    if wanted is None:
        raise ServerError(f"{where}: the server has several models; choose one with --model: {shown}")
    raise ServerError(f"{where}: --model {wanted} is not served; it has: {shown}")


def _shown(names: list[str], wanted: str | None) -> str:
    """The names, those most like the wanted one first, and how many more there are."""
    near = difflib.get_close_matches(wanted or "", names, n=3)
    ordered = near + [name for name in names if name not in near]
    shown = ", ".join(one_line(name, 100) for name in ordered[:_SHOWN])
    return shown if len(names) <= _SHOWN else f"{shown} and {len(names) - _SHOWN} more"
