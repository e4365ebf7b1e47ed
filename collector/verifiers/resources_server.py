"""`http:URL`: a NeMo Gym resources server scores the replies, by POST /verify.

Each reply is a session of its own: POST /seed_session gives the cookie that /verify is sent with. Servers without
that route answer 404 and are not asked again.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx
import orjson

from collector.errors import ServerError, VerifierError, VerifierSetupError
from collector.protocols.server_text import one_line
from collector.records.rows import JsonObject, Reply, Task, Verdict
from collector.settings import CollectSettings
from collector.verifiers.base import BaseVerifier
from collector.verifiers.resources_client import ResourcesClient
from collector.verifiers.spec import read_parameters
from collector.verifiers.verdicts import verdict_from_mapping
from collector.verifiers.verify_request import seed_body, verify_body

__all__ = ["ResourcesServerVerifier", "build_http"]

_NO_ROUTE = frozenset({404, 405})
_ECHOED = frozenset({"responses_create_params", "response", "_ng_task_index", "_ng_rollout_index"})


class ResourcesServerVerifier(BaseVerifier):
    """Asks a resources server: its `reward` and `reward_components` are the verdict, its further fields go with it."""

    name = "http"

    def __init__(self, client: ResourcesClient, *, seed_session: bool = True) -> None:
        self._client = client
        self._seeds = seed_session

    async def __aenter__(self) -> Self:
        """Raises ServerError when nothing answers at the URL: better now than after a night of replies."""
        try:
            await self._client.get_any("/")
        except VerifierError as error:
            await self._client.close()
            raise ServerError(f"--verifier http: {error}: start the resources server first") from None
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.close()

    async def verify(self, task: Task, reply: Reply) -> Verdict:
        """Raises VerifierError: retryable for lost connections, timeouts, busy servers and failed judges."""
        cookies = await self._open_session(task) if self._seeds else httpx.Cookies()
        answer = await self._client.post("/verify", verify_body(task, reply), cookies)
        verdict = verdict_from_mapping(_object(answer, f"{self._client.root}/verify"), bool_reward=False)
        # The server sends the request back with its answer; the row has all of that already.
        own = {k: v for k, v in verdict.fields.items() if k not in _ECHOED and k not in task.row.fields}
        return Verdict(verdict.reward, verdict.components, own)

    async def _open_session(self, task: Task) -> httpx.Cookies:
        answer = await self._client.post("/seed_session", seed_body(task), httpx.Cookies(), allowed=_NO_ROUTE)
        cookies = httpx.Cookies()
        if answer.status_code in _NO_ROUTE:
            self._seeds = False
        else:
            cookies.extract_cookies(answer)
        return cookies


def build_http(rest: str, settings: CollectSettings) -> ResourcesServerVerifier:
    """From `http:[timeout=S,seed_session=no,]URL`, the server's root or its /verify.

    Raises VerifierSetupError when the URL is none.
    """
    given = read_parameters("http", rest, ("timeout", "seed_session"), last="url", bare=True)
    url = given.text("url", "")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise given.error("url", "give the server's URL, as in http:http://127.0.0.1:8001")
    if parts.username or parts.password:
        # Said without the value: this is a credential.
        raise VerifierSetupError("--verifier http: the URL holds a user or password, which is never sent: leave it out")
    client = ResourcesClient(
        url.rstrip("/").removesuffix("/verify"),
        settings,
        given.seconds("timeout", settings.timeouts.total),
    )
    return ResourcesServerVerifier(client, seed_session=given.flag("seed_session", True))


def _object(answer: httpx.Response, where: str) -> JsonObject:
    """The answer's JSON object. Retryable when it is none: a busy proxy answers 200 with a page of its own."""
    try:
        parsed = orjson.loads(answer.content)
    except orjson.JSONDecodeError as error:
        raise _unreadable(f"{where}: the answer is not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise _unreadable(f"{where}: the answer is no JSON object")
    return parsed


def _unreadable(message: str) -> VerifierError:
    return VerifierError(one_line(message), failure_class="verifier_bad_reply", retryable=True)
